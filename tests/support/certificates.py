"""Certificates for tests, as files: an authority, the server's, and callers'."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates and writes them, and its own, into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._authority = folder, trustme.CA()
        self.certificate = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.certificate))

    def issue(self, name: str, identity: str = "localhost") -> Issued:
        """A new pair as NAME.pem and NAME.key, in place of an older one of that name."""
        made = (
            self._authority.issue_cert(identity, "127.0.0.1")
            if identity == "localhost"
            else (self._authority.issue_cert(identity))
        )
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        issued.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        issued.key.touch(mode=0o600)
        made.private_key_pem.write_to_path(str(issued.key))
        return issued

    def credentials(self, own: Issued | None = None) -> grpc.ChannelCredentials:
        """What a caller connects with who trusts this authority."""
        root = self.certificate.read_bytes()
        if own is None:
            return grpc.ssl_channel_credentials(root)
        return grpc.ssl_channel_credentials(root, own.key.read_bytes(), own.certificate.read_bytes())
