"""auto takes the fast transport only for versions of grpcio that it was tested with, and says when it does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import grpc
import pytest
from convserve_server.errors import InvalidSettings
from convserve_server.transport.choice import TESTED_VERSIONS, Transport, make_transport
from convserve_server.transport.listening import TransportSettings


@pytest.fixture
def made() -> Iterator[list[Transport]]:
    """Transports to stop at the end."""
    transports: list[Transport] = []
    yield transports
    for transport in transports:
        transport.start()
        transport.stop(0)


def make(wanted: str, made: list[Transport]) -> str:
    made.append(make_transport(wanted, TransportSettings(listen="127.0.0.1:0"), []))
    return type(made[-1]).__name__


def test_the_installed_grpcio_is_one_that_the_fast_transport_was_tested_with(made: list[Transport]) -> None:
    assert grpc.__version__ in TESTED_VERSIONS
    assert make("auto", made) == "CompletionQueueTransport"


def test_another_grpcio_is_served_by_the_standard_transport_with_a_warning(
    made: list[Transport], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(grpc, "__version__", "1.99.0")
    assert make("auto", made) == "StandardTransport"
    assert "this is 1.99.0: the standard transport serves" in caplog.text
    assert make("fast", made) == "CompletionQueueTransport", "asked for by name, it is tried all the same"


def test_a_grpcio_without_what_the_fast_transport_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "convserve_server.transport.completion_queue", raising=False)
    monkeypatch.setitem(sys.modules, "grpc._cython", None)
    with pytest.raises(InvalidSettings, match="start with --transport standard"):
        make_transport("fast", TransportSettings(listen="127.0.0.1:0"), [])


def test_standard_is_standard(made: list[Transport]) -> None:
    assert make("standard", made) == "StandardTransport"
