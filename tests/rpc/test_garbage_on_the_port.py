"""Whatever comes to the port, the server keeps neither descriptor nor thread of it, and serves the next caller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from convserve_server.app import App
from fuzz.frames import data, headers, message, opened, statuses
from fuzz.port import MAX_MESSAGE_BYTES, Seen, exchanged, still_serves, throw
from fuzz.port_inputs import BOMB, KINDS, PATHS
from fuzz.running import resident
from support.artifacts import write_sum
from support.servers import running_app
from support.survival import leaves_nothing, surviving

CONNECTIONS = 3 * len(KINDS)
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 0, 3, 8


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[App]:
    write_sum(tmp_path)
    with running_app(tmp_path, transport=kind, max_message_bytes=MAX_MESSAGE_BYTES) as app:
        yield app


def test_after_garbage_of_every_kind_a_caller_is_served_and_nothing_is_left_behind(kind: str, tmp_path: Path) -> None:
    """In a process of its own: what the threads and pools of other tests hold comes and goes as it likes."""
    limit = str(MAX_MESSAGE_BYTES)
    with surviving(tmp_path, "--transport", kind, "--max-message-bytes", limit) as server:
        port = int(server.address.rpartition(":")[2])
        seen = Seen()
        leaves_nothing(server, lambda: throw(port, CONNECTIONS, 1, seen))
        assert "UNKNOWN" not in seen.statuses
        assert seen.statuses["INVALID_ARGUMENT"]


@pytest.mark.parametrize("path", PATHS)
def test_a_message_that_inflates_beyond_the_limit_is_refused_before_it_takes_memory(app: App, path: str) -> None:
    before = resident()
    for _ in range(5):
        sent = opened() + headers(1, path, encoding="gzip") + data(1, message(BOMB, compressed=1))
        received = exchanged(app.port, sent, is_call=True)
        assert list(statuses(received)) == [RESOURCE_EXHAUSTED]
    # One of the five would have taken 64 MB.
    assert resident() - before < 48
    assert still_serves(app.port)


@pytest.mark.parametrize("path", PATHS)
def test_bytes_that_are_no_message_are_an_invalid_argument_wherever_they_go(app: App, path: str) -> None:
    rng = Random(0)
    for _ in range(20):
        sent = opened() + headers(1, path) + data(1, message(b"\xff" + rng.randbytes(20)))
        assert list(statuses(exchanged(app.port, sent, is_call=True))) == [INVALID_ARGUMENT]
