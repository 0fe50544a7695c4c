"""Who can reach the server, by the addresses that it listens on, and what to say where others than this machine can."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from convserve_server.settings import Settings

_CONTAINER = "in a container, publish the port on this machine only: -p 127.0.0.1:8001:8001"


def is_local(address: str) -> bool:
    """Whether only this machine can reach HOST:PORT, or a Unix socket. Names but localhost may be anything."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def warnings(settings: Settings) -> Iterator[str]:
    """What an operator should hear at start: who may come in that perhaps should not."""
    tls, tokens = settings.tls_certificate is not None, settings.tokens is not None
    if not is_local(settings.listen):
        where = f"--listen {settings.listen} is open to other machines"
        if tokens and not tls:
            yield (
                f"{where} WITHOUT TLS: whoever is on the way can read the tokens, and use them. Give "
                f"--tls-certificate and --tls-key, or listen on 127.0.0.1; {_CONTAINER}"
            )
        elif not tls:
            yield (
                f"{where} WITHOUT TLS AND WITHOUT TOKENS: whoever reaches the port may call everything, and whoever is "
                "on the way can read it. Give --tls-certificate, --tls-key and --tokens, or listen on 127.0.0.1; "
                f"{_CONTAINER}"
            )
        elif not tokens and settings.tls_client_ca is None:
            yield (
                f"{where} WITHOUT TOKENS: whoever reaches the port may call everything. Give --tokens, or "
                "--tls-client-ca to let in only who has a certificate"
            )
    if settings.metrics is not None and not is_local(settings.metrics):
        yield (
            f"--metrics {settings.metrics} is open to other machines: whoever reaches the port can read the metrics, "
            "which name the models; there is no TLS on it"
        )
