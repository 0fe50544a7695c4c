"""TLS with a certificate that openssl makes for the test: who is trusted, under which name, with which token."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from convserve_client import InputError, Tls, Unavailable
from support.fake_server import FakeServer, running

from .conftest import Call

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificate, is absent"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for the name server.test, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=server.test", "-addext", "subjectAltName=DNS:server.test", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[FakeServer]:
    """A server that shows the certificate and wants the same one from its callers."""
    cert, key = (path.read_bytes() for path in certificate)
    with running(grpc.ssl_server_credentials([(key, cert)], cert, require_client_auth=True)) as fake:
        yield fake


def test_certificate_key_and_name_make_a_connection(
    secure: FakeServer, call: Call, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    tls = Tls.from_files(root_certificates=cert, certificate_chain=cert, private_key=key, server_name="server.test")
    assert call(secure.target, "is_live", settings={"tls": tls, "token": "secret"})
    assert secure.received[0].metadata["authorization"] == "Bearer secret"


@pytest.mark.parametrize("missing", ["client certificate", "server name", "root certificates"])
def test_without_one_of_them_there_is_none(
    secure: FakeServer, call: Call, certificate: tuple[Path, Path], missing: str
) -> None:
    cert, key = certificate
    own = missing != "client certificate"
    tls = Tls.from_files(
        root_certificates=None if missing == "root certificates" else cert,
        certificate_chain=cert if own else None,
        private_key=key if own else None,
        server_name=None if missing == "server name" else "server.test",
    )
    with pytest.raises(Unavailable):
        call(secure.target, "is_live", settings={"tls": tls})
    assert secure.received == []


def test_a_certificate_file_that_is_damaged_is_refused(call: Call, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises((Unavailable, InputError)):
        call("127.0.0.1:1", "is_live", settings={"tls": Tls.from_files(root_certificates=broken)})
