"""The server's certificate and key, and who signs those of callers: read from PEM files, checked before use."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convserve_server.access.files import read_file, warn_if_exposed
from convserve_server.access.following import Followed
from convserve_server.errors import InvalidSettings


@dataclass(frozen=True, repr=False)
class Certificates:
    """PEM bytes that belong together."""

    chain: bytes
    key: bytes
    client_ca: bytes | None
    """Who signs the certificates that callers must show; None where none is asked for."""


@dataclass(frozen=True)
class CertificateFiles:
    """Where they are. read() gives what is there now."""

    chain: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.chain, self.key, self.client_ca) if path is not None)

    def follow(self) -> Followed[Certificates]:
        """What is there, now and after each change. Raises InvalidSettings where it cannot be used at first."""
        return Followed(f"the certificate or key in {self.chain} and {self.key}", self.paths, self.read)

    def read(self) -> Certificates:
        """What is there. Raises InvalidSettings where it cannot be used, or key and certificate are no pair."""
        found = self._read()
        warn_if_exposed(self.key)
        _check_pair(self.chain, self.key)
        if found.client_ca is not None and self.client_ca is not None:
            _check_authorities(self.client_ca, found.client_ca)
        # OpenSSL has read the files itself: what it has checked is what was read before, unless they changed since.
        if self._read() != found:
            raise InvalidSettings(f"{self.chain} or {self.key} changed while they were read")
        return found

    def _read(self) -> Certificates:
        authorities = None if self.client_ca is None else read_file(self.client_ca)
        return Certificates(read_file(self.chain), read_file(self.key), authorities)


def _check_pair(chain: Path, key: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password that is asked for would be asked at the terminal.
        context.load_cert_chain(chain, key, password=_no_password(key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidSettings(f"the key in {key} does not belong to the certificate in {chain}") from None
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        raise InvalidSettings(f"{chain} and {key} are no certificate and key in PEM form ({reason})") from None
    except OSError as error:
        raise InvalidSettings(f"{chain} or {key} cannot be read: {error.strerror}") from None


def _no_password(key: Path) -> Callable[[], str]:
    def refuse() -> str:
        raise InvalidSettings(f"the key in {key} is encrypted; give one without a passphrase, in a file of mode 600")

    return refuse


def _check_authorities(path: Path, content: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError, ValueError):
        raise InvalidSettings(f"{path} has no certificates in PEM form that could sign those of callers") from None
    if not context.cert_store_stats()["x509"]:
        raise InvalidSettings(f"{path} has no certificates in PEM form that could sign those of callers")
