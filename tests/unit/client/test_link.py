"""A client's settings: what cannot work is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from convserve_client import Client, InputError, Tls
from convserve_client.link import Link


@pytest.mark.parametrize(
    "target", ["127.0.0.1:8001", "localhost:1", "[::1]:8001", "a.b-c.example:65535", "unix:/run/x.sock", "dns:///a:1"]
)
def test_addresses_that_grpc_takes_are_taken(target: str) -> None:
    assert Link(target).target == target


@pytest.mark.parametrize(
    "target",
    ["", "localhost", "localhost:", "localhost:0", "localhost:65536", "::1:80", "http://localhost:80", "a b:1"],
)
def test_other_addresses_are_refused_with_the_form_that_fits(target: str) -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        Link(target)


@pytest.mark.parametrize("settings", [{"timeout": 0.0}, {"max_message_bytes": 0}, {"keepalive": -1.0}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Link(**settings)


def test_a_token_goes_over_tls_or_to_this_machine_only() -> None:
    with pytest.raises(InputError, match="TLS"):
        Link("example.org:8001", token="secret")
    assert Link("example.org:8001", token="secret", tls=Tls())._metadata == (("authorization", "Bearer secret"),)
    assert Link("127.0.0.1:8001", token="secret")._metadata == (("authorization", "Bearer secret"),)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ünïcode"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(InputError) as caught:
        Link(token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("pair", [("Upper", "x"), ("grpc-timeout", "1S"), ("data-bin", "x"), ("key", "ü"), ("", "x")])
def test_metadata_that_grpc_does_not_take_is_refused_by_key(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="metadata key"):
        Link(metadata=[pair])


def test_settings_do_not_show_a_token_or_a_key() -> None:
    assert "secret" not in repr(Link(token="secret"))
    assert "secret" not in repr(Tls(certificate_chain=b"x", private_key=b"secret"))


def test_both_directions_have_the_same_explicit_size_limit() -> None:
    options = dict(Link(max_message_bytes=1234)._channel_options())
    assert options["grpc.max_send_message_length"] == options["grpc.max_receive_message_length"] == 1234


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine() -> None:
    assert dict(Link("127.0.0.1:1")._channel_options())["grpc.enable_http_proxy"] == 0
    assert "grpc.enable_http_proxy" not in dict(Link("example.org:1")._channel_options())


def test_pings_are_off_unless_asked_for() -> None:
    assert "grpc.keepalive_time_ms" not in dict(Link()._channel_options())
    assert dict(Link(keepalive=20.0)._channel_options())["grpc.keepalive_time_ms"] == 20_000


def test_a_client_certificate_needs_its_key() -> None:
    with pytest.raises(InputError, match="private key"):
        Tls(certificate_chain=b"x")


def test_certificate_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent"):
        Tls.from_files(root_certificates=tmp_path / "absent.pem")
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(InputError, match=r"text\.pem is not a PEM file"):
        Tls.from_files(root_certificates=tmp_path / "text.pem")


def test_a_closed_client_says_so() -> None:
    client = Client("127.0.0.1:1")
    client.close()
    client.close()
    with pytest.raises(Exception, match="was closed"):
        client.is_live()
