"""TLS for a port: the certificate of each handshake is the one that is in force then."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from convserve_server.access.certificates import Certificates


def server_credentials(current: Callable[[], Certificates]) -> grpc.ServerCredentials:
    """Credentials that ask ``current`` at every handshake.

    Whether callers must show a certificate is settled now; connections that are open keep what they were opened with.
    """
    used = current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal used
        now = current()
        if now is used:
            return None
        used = now
        return _configuration(now)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(used),
        fetch,  # type: ignore[arg-type]  # grpc documents None as "no change"; its stubs leave it out
        require_client_authentication=used.client_ca is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pair = (certificates.key, certificates.chain)
    return grpc.ssl_server_certificate_configuration([pair], certificates.client_ca)
