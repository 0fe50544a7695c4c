"""Where a client calls, and with what: address, credentials, deadlines and limits, as gRPC wants them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from convserve_client import defaults
from convserve_client.errors import InputError
from convserve_client.exchange import checked_timeout, exchange
from convserve_client.retry import RetryPolicy
from convserve_client.steps import Failure, Steps

T = TypeVar("T")

_SCHEME = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|xds|passthrough):")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
_LOCAL = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\]):\d+|unix(-abstract)?:.*", re.DOTALL)
_PUSHBACK = "grpc-retry-pushback-ms"
_METADATA_KEY = re.compile(r"[a-z0-9_.-]+")


@dataclass(frozen=True, kw_only=True, repr=False)
class Tls:
    """How the two ends prove who they are. PEM bytes; Tls() alone trusts gRPC's built-in root certificates."""

    root_certificates: bytes | None = None
    """Certificates that may have signed the server's."""
    certificate_chain: bytes | None = None
    """The client's own certificate, where the server asks for one; needs the private key too."""
    private_key: bytes | None = None
    server_name: str | None = None
    """The name that the server's certificate must have, where it is not the host of the address."""

    def __post_init__(self) -> None:
        if (self.certificate_chain is None) != (self.private_key is None):
            raise InputError("a client certificate and its private key go together: one of them is missing")

    @classmethod
    def from_files(
        cls,
        *,
        root_certificates: str | Path | None = None,
        certificate_chain: str | Path | None = None,
        private_key: str | Path | None = None,
        server_name: str | None = None,
    ) -> Tls:
        """The same from PEM files. Raises InputError where one cannot be read."""
        return cls(
            root_certificates=_pem(root_certificates),
            certificate_chain=_pem(certificate_chain),
            private_key=_pem(private_key),
            server_name=server_name,
        )


def _pem(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if b"-----BEGIN " not in data:
        raise InputError(f"{path} is not a PEM file: it has no line '-----BEGIN ...'")
    return data


class Link:
    """The settings of a client. Both clients take these arguments."""

    def __init__(
        self,
        target: str = defaults.TARGET,
        *,
        timeout: float = defaults.TIMEOUT,
        retry: RetryPolicy | None = None,
        tls: Tls | None = None,
        token: str | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        max_message_bytes: int = defaults.MAX_MESSAGE_BYTES,
        keepalive: float | None = None,
    ) -> None:
        """Settles where to call and how; connects at the first call.

        ``target`` is HOST:PORT, or an address with a scheme of gRPC's, such as unix:/run/convserve.sock.
        ``timeout`` is in seconds, for each exchange with the server, its retries included; every call can have its own.
        ``retry`` says when a call is tried again; RetryPolicy(attempts=1) never does.
        ``tls`` None means an unprotected connection. ``token`` is sent as a bearer token, over TLS or to this machine
        only. ``metadata`` goes with every call. ``max_message_bytes`` is the limit of requests and replies.
        ``keepalive`` sends a ping after so many seconds without data while calls are under way, which finds dead
        connections early. It is off by default: servers cut clients off that ping more often than they allow, which is
        once in five minutes unless they were told otherwise.

        Raises InputError for settings that cannot work.
        """
        self.target = _checked_target(target)
        self.timeout = checked_timeout(timeout)
        self.retry = RetryPolicy() if retry is None else retry
        if max_message_bytes < 1:
            raise InputError(f"max_message_bytes is {max_message_bytes}, but at least 1 is needed")
        self.max_message_bytes = max_message_bytes
        if keepalive is not None:
            checked_timeout(keepalive)
        self._tls = tls
        self._keepalive = keepalive
        self._metadata = _metadata(metadata, token, protected=tls is not None or self._is_local)
        self._prepare()

    def _prepare(self) -> None:
        """Set up what a driver keeps beside the settings."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r})"

    @property
    def _is_local(self) -> bool:
        return _LOCAL.fullmatch(self.target) is not None

    def call(self, method: str, request: bytes, parse: Callable[[bytes], T], timeout: float | None) -> Steps[T]:
        """The steps of one exchange with this link's settings; ``timeout`` None means the link's own."""
        if len(request) > self.max_message_bytes:
            raise InputError(
                f"the request has {len(request):,} bytes, but this client sends at most {self.max_message_bytes:,}; "
                "send less at a time, or give the client a larger max_message_bytes"
            )
        seconds = self.timeout if timeout is None else timeout
        return exchange(method, request, parse, target=self.target, timeout=seconds, policy=self.retry)

    def _credentials(self) -> grpc.ChannelCredentials | None:
        if self._tls is None:
            return None
        return grpc.ssl_channel_credentials(
            self._tls.root_certificates, self._tls.private_key, self._tls.certificate_chain
        )

    def _channel_options(self) -> list[tuple[str, int | str]]:
        options: list[tuple[str, int | str]] = [
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.max_receive_message_length", self.max_message_bytes),
            # Tries are counted and timed by RetryPolicy, not also by gRPC.
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            # A channel that failed to connect answers all tries with that failure until it connects anew, after a
            # second unless told otherwise: longer than most pauses of a RetryPolicy.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 5000),
        ]
        if self._is_local:
            # A proxy that the environment names cannot reach this machine's loopback.
            options.append(("grpc.enable_http_proxy", 0))
        if self._keepalive is not None:
            options.append(("grpc.keepalive_time_ms", max(1, round(self._keepalive * 1000))))
            options.append(("grpc.keepalive_timeout_ms", 10_000))
            options.append(("grpc.keepalive_permit_without_calls", 0))
        if self._tls is not None and self._tls.server_name:
            options.append(("grpc.ssl_target_name_override", self._tls.server_name))
        return options


def _checked_target(target: str) -> str:
    if _SCHEME.match(target):
        return target
    if "://" in target:
        raise InputError(f"the server's address is '{target}', but it takes the form HOST:PORT, without ://")
    match = _HOST_AND_PORT.fullmatch(target)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise InputError(
            f"the server's address is '{target}', but it takes the form HOST:PORT, such as {defaults.TARGET}; "
            "an IPv6 host goes in square brackets"
        )
    return target


def _metadata(pairs: Sequence[tuple[str, str]], token: str | None, *, protected: bool) -> tuple[tuple[str, str], ...]:
    for key, value in pairs:
        if not _METADATA_KEY.fullmatch(key) or key.startswith("grpc-") or key.endswith("-bin"):
            raise InputError(
                f"metadata key '{key}' does not fit: it takes lower-case letters, digits, '_', '-' and '.', "
                "does not begin with grpc- and does not end in -bin"
            )
        if not (value.isascii() and value.isprintable()):
            raise InputError(f"the value of metadata key '{key}' has characters outside of printable ASCII")
    if token is None:
        return tuple(pairs)
    if not token or not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError("the token is empty or has characters that a bearer token cannot have")
    if not protected:
        raise InputError("a token over an unprotected connection can be read on its way: use TLS")
    return (*pairs, ("authorization", f"Bearer {token}"))


def failure_of(error: grpc.RpcError) -> Failure:
    """The status of a failed call, free of gRPC's types."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    return Failure(error.code().name, error.details() or "", _pushback(error.trailing_metadata() or ()))


def _pushback(trailing: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Seconds that the server asks to let pass before another try; negative is never (gRFC A6)."""
    for key, value in trailing:
        if key == _PUSHBACK:
            try:
                return int(value) / 1000
            except ValueError:
                # As gRPC's own retries take it.
                return -1.0
    return None
