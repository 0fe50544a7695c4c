"""Who may come in, as the settings say: TLS, tokens, and the files that both come from, followed."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from convserve_server.access.certificates import CertificateFiles, Certificates
from convserve_server.access.following import Followed
from convserve_server.access.token_file import follow_tokens
from convserve_server.access.tokens import Scope, authorize
from convserve_server.calls import Admit
from convserve_server.engine.polling import Poller
from convserve_server.errors import InvalidSettings, PermissionDenied, Unauthenticated
from convserve_server.rpc.gate import Gate
from convserve_server.settings import Settings
from convserve_server.transport.tls import server_credentials

LOOK_SECONDS = 1.0
"""Between two looks at the files; a change is in force after two of them have seen it."""


class Door:
    """Credentials for the port and a gate for the calls, either of them None where it is not wanted.

    Raises InvalidSettings where a file cannot be used, or one is missing that belongs to another.
    """

    def __init__(self, settings: Settings) -> None:
        self._certificates = _certificates(settings)
        self._tokens = None if settings.tokens is None else follow_tokens(settings.tokens)
        self._poller = Poller(self._refresh, LOOK_SECONDS)
        self.credentials: grpc.ServerCredentials | None = None
        self.admit: Admit | None = None
        if (certificates := self._certificates) is not None:
            self.credentials = server_credentials(lambda: certificates.value)
        if (tokens := self._tokens) is not None:
            self.admit = Gate(lambda: tokens.value, health_without_token=settings.health_without_token)

    def permit_profile(self, authorization: str | None) -> tuple[int, str] | None:
        """Why an Authorization header does not suffice for a profile, as an HTTP status and a sentence."""
        if self._tokens is None:
            return None
        try:
            authorize(self._tokens.value, authorization, Scope.ADMINISTER, "a profile")
        except Unauthenticated as error:
            return 401, str(error)
        except PermissionDenied as error:
            return 403, str(error)
        return None

    def name_of(self, metadata: Sequence[tuple[str, str | bytes]]) -> str:
        """The name of the token that a call was let in with, for logs; empty where it came without."""
        if self._tokens is None:
            return ""
        header = next((value for key, value in metadata if key == "authorization"), None)
        secret = header.partition(" ")[2] if isinstance(header, str) else ""
        holder = self._tokens.value.holder(secret) if secret else None
        return "" if holder is None else holder.name

    def start(self) -> None:
        """Begin to follow the files."""
        if self._certificates is not None or self._tokens is not None:
            self._poller.start()

    def stop(self) -> None:
        """Follow them no more."""
        self._poller.stop()

    def _refresh(self) -> None:
        for followed in (self._certificates, self._tokens):
            if followed is not None:
                followed.refresh()


def _certificates(settings: Settings) -> Followed[Certificates] | None:
    chain, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if chain is None and key is None:
        if client_ca is not None:
            raise InvalidSettings("--tls-client-ca is about TLS: give --tls-certificate and --tls-key, too")
        return None
    if chain is None or key is None:
        raise InvalidSettings("--tls-certificate and --tls-key go together, and one of them is missing")
    return CertificateFiles(chain, key, client_ca).follow()
