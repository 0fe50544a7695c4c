"""TLS and mutual TLS of the whole server on either transport: who is let in, and certificates that change meanwhile."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
from convserve_proto import open_inference as oip
from convserve_server import door
from convserve_server.app import App
from convserve_server.errors import InvalidSettings
from convserve_server.settings import Settings
from support.artifacts import write_sum
from support.certificates import Authority, Issued
from support.servers import running_app
from support.transports import wait_until

# Served by the fast transport's own loops, and by grpc.server.
HOT, COLD = f"/{oip.SERVICE}/ModelInfer", f"/{oip.SERVICE}/ServerReady"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at often, so that the tests need not wait."""
    monkeypatch.setattr(door, "LOOK_SECONDS", 0.02)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def settings(server: Issued, **more: Any) -> dict[str, Any]:
    return {"tls_certificate": server.certificate, "tls_key": server.key, **more}


def code(app: App, path: str, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    target = f"localhost:{app.port}"
    with grpc.insecure_channel(target) if credentials is None else grpc.secure_channel(target, credentials) as channel:
        try:
            channel.unary_unary(path, lambda b: b, lambda b: b)(b"", timeout=20)
        except grpc.RpcError as error:
            found: grpc.StatusCode = error.code()
            return found
        return grpc.StatusCode.OK


def codes(app: App, credentials: grpc.ChannelCredentials | None) -> set[grpc.StatusCode]:
    return {code(app, path, credentials) for path in (HOT, COLD)}


# An empty ModelInfer names no model.
SERVED = {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND}
CLOSED = {grpc.StatusCode.UNAVAILABLE}


def shown(app: App) -> str:
    """The certificate that a new connection is shown."""
    return ssl.get_server_certificate(("127.0.0.1", app.port), timeout=10).strip()


def leaf(issued: Issued) -> str:
    return issued.certificate.read_text().partition("-----END CERTIFICATE-----")[0].strip()


def test_who_trusts_the_authority_is_served_and_who_does_not_or_speaks_plainly_is_not(
    kind: str, tmp_path: Path, authority: Authority
) -> None:
    write_sum(tmp_path / "models")
    with running_app(tmp_path / "models", transport=kind, **settings(authority.issue("server"))) as app:
        assert codes(app, authority.credentials()) == SERVED
        assert codes(app, None) == CLOSED
        (tmp_path / "stranger").mkdir()
        assert codes(app, Authority(tmp_path / "stranger").credentials()) == CLOSED


def test_mutual_tls_lets_in_only_who_has_a_certificate_of_the_authority(
    kind: str, tmp_path: Path, authority: Authority
) -> None:
    write_sum(tmp_path / "models")
    (tmp_path / "callers").mkdir()
    callers = Authority(tmp_path / "callers")
    more = {"tls_client_ca": callers.certificate}
    with running_app(tmp_path / "models", transport=kind, **settings(authority.issue("server"), **more)) as app:
        assert codes(app, authority.credentials(callers.issue("alice", "alice.example"))) == SERVED
        assert codes(app, authority.credentials()) == CLOSED
        assert codes(app, authority.credentials(authority.issue("mallory", "mallory.example"))) == CLOSED


def test_a_new_certificate_is_shown_without_a_restart_and_open_connections_go_on(
    kind: str, tmp_path: Path, authority: Authority
) -> None:
    write_sum(tmp_path / "models")
    first = authority.issue("server")
    with running_app(tmp_path / "models", transport=kind, **settings(first)) as app:
        assert shown(app).startswith(leaf(first))
        with grpc.secure_channel(f"localhost:{app.port}", authority.credentials()) as channel:
            ready = channel.unary_unary(COLD, lambda b: b, lambda b: b)
            ready(b"", timeout=20)
            second = authority.issue("server")
            wait_until(lambda: shown(app).startswith(leaf(second)))
            ready(b"", timeout=20)
        assert codes(app, authority.credentials()) == SERVED


def test_a_new_authority_of_callers_is_asked_without_a_restart(kind: str, tmp_path: Path, authority: Authority) -> None:
    write_sum(tmp_path / "models")
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder in folders:
        folder.mkdir()
    old, new = (Authority(folder) for folder in folders)
    alice, bob = old.issue("alice", "alice.example"), new.issue("bob", "bob.example")
    more = {"tls_client_ca": old.certificate}
    with running_app(tmp_path / "models", transport=kind, **settings(authority.issue("server"), **more)) as app:
        assert code(app, COLD, authority.credentials(bob)) is grpc.StatusCode.UNAVAILABLE
        new.certificate.replace(old.certificate)
        wait_until(lambda: code(app, COLD, authority.credentials(bob)) is grpc.StatusCode.OK)
        assert code(app, COLD, authority.credentials(alice)) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("change", ["another key", "half a certificate", "half a key", "no PEM", "gone"])
def test_a_pair_that_cannot_be_used_is_said_and_the_old_one_stays_until_a_good_one_comes(
    kind: str, tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    write_sum(tmp_path / "models")
    first = authority.issue("server")
    before = leaf(first)
    with running_app(tmp_path / "models", transport=kind, **settings(first)) as app:
        other = authority.issue("other")
        if change == "another key":
            first.key.write_bytes(other.key.read_bytes())
        elif change == "half a certificate":
            first.certificate.write_bytes(other.certificate.read_bytes()[:300])
        elif change == "half a key":
            first.key.write_bytes(other.key.read_bytes()[:100])
        elif change == "no PEM":
            first.certificate.write_text("hello")
        else:
            first.certificate.unlink()
        wait_until(lambda: "The ones from before stay in force" in caplog.text)
        assert shown(app).startswith(before)
        assert codes(app, authority.credentials()) == SERVED
        second = authority.issue("server")
        wait_until(lambda: shown(app).startswith(leaf(second)))
        assert "PRIVATE KEY" not in caplog.text


def test_key_and_certificate_that_do_not_belong_together_are_no_start(tmp_path: Path, authority: Authority) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    with pytest.raises(InvalidSettings, match="does not belong to the certificate in"):
        door.Door(Settings(tls_certificate=one.certificate, tls_key=other.key))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("tls_certificate",), "go together"),
        (("tls_key",), "go together"),
        (("tls_client_ca",), "give --tls-certificate and --tls-key, too"),
    ],
)
def test_what_belongs_together_is_asked_for_together(
    tmp_path: Path, authority: Authority, names: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(InvalidSettings, match=sentence):
        door.Door(Settings(**dict.fromkeys(names, authority.certificate)))


@pytest.mark.parametrize("content", ["", "hello", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n", "ä"])
def test_an_authority_that_is_none_is_no_start(tmp_path: Path, authority: Authority, content: str) -> None:
    server = authority.issue("server")
    (tmp_path / "callers.pem").write_text(content)
    with pytest.raises(InvalidSettings, match=r"callers\.pem has no certificates in PEM form"):
        door.Door(Settings(**settings(server, tls_client_ca=tmp_path / "callers.pem")))
    with pytest.raises(InvalidSettings, match=r"missing\.pem cannot be read"):
        door.Door(Settings(**settings(server, tls_client_ca=tmp_path / "missing.pem")))


def test_a_key_with_a_passphrase_is_refused_instead_of_asking_at_the_terminal(
    tmp_path: Path, authority: Authority
) -> None:
    server = authority.issue("server")
    server.key.write_text(
        server.key.read_text().replace(
            "KEY-----\n",
            "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\n",
            1,
        )
    )
    with pytest.raises(InvalidSettings, match="encrypted; give one without a passphrase"):
        door.Door(Settings(**settings(server)))
