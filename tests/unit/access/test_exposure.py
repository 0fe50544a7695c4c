"""Listening wider than this machine is said loudly, with what to do; what is protected or local is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from convserve_server.access.exposure import is_local, warnings
from convserve_server.settings import OPTIONS, Settings

TLS = {"tls_certificate": Path("c"), "tls_key": Path("k")}
TOKENS = {"tokens": Path("t")}


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8001", "127.9.9.9:1", "localhost:8001", "[::1]:8001", "[::ffff:127.0.0.1]:80", "unix:/run/x.sock"],
)
def test_what_only_this_machine_can_reach_is_local(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:8001", "[::]:8001", "10.0.0.7:8001", "[fe80::1%eth0]:80", "server.example:8001", "localhost.evil:1"],
)
def test_what_others_can_reach_is_not(address: str) -> None:
    assert not is_local(address)


def test_the_defaults_are_local_and_there_is_nothing_to_warn_of() -> None:
    assert list(warnings(Settings())) == []
    assert [is_local(option.default) for option in OPTIONS if option.name == "listen"] == [True]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "WITHOUT TLS AND WITHOUT TOKENS"),
        (TOKENS, "WITHOUT TLS: whoever is on the way can read the tokens"),
        (TLS, "WITHOUT TOKENS: whoever reaches the port may call everything"),
    ],
)
@pytest.mark.parametrize("listen", ["0.0.0.0:8001", "[::]:8001", "host.example:8001"])
def test_what_is_missing_on_a_wide_port_is_named_with_what_to_do(
    given: dict[str, Any], words: str, listen: str
) -> None:
    [sentence] = warnings(Settings(listen=listen, **given))
    assert words in sentence
    assert f"--listen {listen}" in sentence
    assert "Give --" in sentence


@pytest.mark.parametrize("given", [TLS | TOKENS, TLS | {"tls_client_ca": Path("a")}])
def test_a_wide_port_that_is_protected_is_fine(given: dict[str, Any]) -> None:
    assert list(warnings(Settings(listen="0.0.0.0:8001", **given))) == []


def test_tokens_on_this_machine_alone_need_no_tls() -> None:
    assert list(warnings(Settings(listen="127.0.0.1:8001", **TOKENS))) == []


def test_metrics_that_others_can_read_are_named() -> None:
    [sentence] = warnings(Settings(metrics="0.0.0.0:9090"))
    assert sentence.startswith("--metrics 0.0.0.0:9090 is open to other machines")
