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
from support.transports import wait_until

CONNECTIONS = 6 * len(KINDS)
OK, INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 0, 3, 8


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[App]:
    write_sum(tmp_path)
    with running_app(tmp_path, transport=kind, max_message_bytes=MAX_MESSAGE_BYTES) as app:
        yield app


def test_after_garbage_of_every_kind_a_caller_is_served_and_nothing_is_left_behind(app: App) -> None:
    seen = throw(app.port, len(KINDS))
    seen.measure()
    throw(app.port, CONNECTIONS, 1, seen)
    assert still_serves(app.port)
    wait_until(lambda: _is_as_before(seen))
    assert "UNKNOWN" not in seen.statuses
    assert seen.statuses["INVALID_ARGUMENT"]


def _is_as_before(seen: Seen) -> bool:
    """No more descriptors than after the first round; a pool may have a thread more."""
    now = Seen()
    now.measure()
    return now.descriptors[0] <= seen.descriptors[0] + 2 and now.threads[0] <= max(40, seen.threads[0] + 2)


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
