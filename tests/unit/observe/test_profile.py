"""A profile sees every other thread, is bounded, is read by the usual tools, and is taken by one at a time."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from convserve_server.observe.profile import collapsed, from_collapsed, sample, speedscope
from convserve_server.observe.profile_page import ProfilePage, Unavailable, Wish, of_workers

SEEN = Counter({("loop-0", "f (a.py:1)", "g (a.py:2)"): 3, ("loop-1", "f (a.py:1)"): 1})


@contextmanager
def waiting_thread() -> Iterator[None]:
    release, there = threading.Event(), threading.Event()

    def wait_for_the_test() -> None:
        there.set()
        release.wait(20)

    thread = threading.Thread(target=wait_for_the_test, name="the waiting one")
    thread.start()
    there.wait(20)
    yield
    release.set()
    thread.join(20)


def test_other_threads_are_seen_where_they_are_and_this_one_is_not() -> None:
    slept: list[float] = []
    with waiting_thread():
        stacks = sample(0.5, 10, clock=lambda: 0.0, sleep=slept.append)
    of_it = {stack: n for stack, n in stacks.items() if stack[0] == "the waiting one"}
    assert sum(of_it.values()) == 5
    assert all(any("wait_for_the_test (" in frame for frame in stack) for stack in of_it)
    assert not any(stack[0] == threading.current_thread().name for stack in stacks)
    assert slept == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_a_machine_that_is_too_slow_for_the_rate_does_not_take_longer() -> None:
    moments = iter(range(0, 1000, 10))
    looks = 0

    def frames() -> dict[int, object]:
        nonlocal looks
        looks += 1
        return {}

    sample(5, 100, frames=frames, clock=lambda: float(next(moments)), sleep=lambda s: None)  # type: ignore[arg-type]
    assert looks <= 1


def test_collapsed_stacks_are_lines_that_can_be_read_back() -> None:
    text = collapsed(SEEN)
    assert text == "loop-0;f (a.py:1);g (a.py:2) 3\nloop-1;f (a.py:1) 1\n"
    assert from_collapsed(text) == SEEN


def test_speedscope_has_a_profile_for_each_thread_with_its_seconds() -> None:
    told = json.loads(speedscope(SEEN, 100))
    assert [f["name"] for f in told["shared"]["frames"]] == ["f (a.py:1)", "g (a.py:2)"]
    first, second = told["profiles"]
    assert (first["name"], first["samples"], first["weights"], first["endValue"]) == ("loop-0", [[0, 1]], [0.03], 0.03)
    assert (second["name"], second["samples"]) == ("loop-1", [[0]])


def test_the_page_gives_either_format() -> None:
    wishes: list[Wish] = []

    def take(wish: Wish, authorization: str | None) -> Counter[tuple[str, ...]]:
        wishes.append(wish)
        return SEEN

    page = ProfilePage(take=take)
    assert page("", None) == (200, collapsed(SEEN).encode(), "text/plain; charset=utf-8")
    status, body, kind = page("seconds=2&rate=50&format=speedscope", None)
    assert (status, kind) == (200, "application/json")
    assert json.loads(body)["profiles"]
    assert wishes == [Wish(5, 100, "collapsed"), Wish(2, 50, "speedscope")]


@pytest.mark.parametrize(
    "query",
    [
        "seconds=0",
        "seconds=61",
        "seconds=-1",
        "seconds=nan",
        "seconds=x",
        "rate=0",
        "rate=1e9",
        "format=svg",
        "x=1",
        "&&",
    ],
)
def test_what_cannot_be_asked_for_is_refused_with_what_can(query: str) -> None:
    status, body, _ = ProfilePage(take=lambda wish, authorization: SEEN)(query, None)
    assert status == 400
    assert f"the query is '{query}'".encode() in body
    assert b"/debug/profile?seconds=5" in body


def test_a_query_is_told_in_one_line_of_bounded_length() -> None:
    _, body, _ = ProfilePage(take=lambda wish, authorization: SEEN)("\x1b" + "x" * 100_000, None)
    assert body.count(b"\n") == 1
    assert b"\x1b" not in body
    assert len(body) < 1000


def test_one_profile_at_a_time() -> None:
    inner: list[int] = []

    def take(wish: Wish, authorization: str | None) -> Counter[tuple[str, ...]]:
        inner.append(page("", None)[0])
        return SEEN

    page = ProfilePage(take=take)
    assert page("", None)[0] == 200
    assert inner == [409]
    assert page("", None)[0] == 200


def test_who_may_not_hears_why_and_nothing_is_taken() -> None:
    def permit(authorization: str | None) -> tuple[int, str] | None:
        return None if authorization == "Bearer good" else (401, "send a token")

    taken: list[str | None] = []

    def take(wish: Wish, authorization: str | None) -> Counter[tuple[str, ...]]:
        taken.append(authorization)
        return SEEN

    page = ProfilePage(permit, take)
    assert page("", None)[:2] == (401, b"send a token\n")
    assert page("", "Bearer bad")[0] == 401
    assert page("", "Bearer good")[0] == 200
    assert taken == ["Bearer good"]


def test_without_workers_there_is_no_profile_of_theirs() -> None:
    with pytest.raises(Unavailable, match="no worker serves"):
        of_workers(dict)(Wish(), None)
    assert ProfilePage(take=of_workers(dict))("", None)[0] == 503


def test_a_worker_that_does_not_answer_is_said() -> None:
    status, body, _ = ProfilePage(take=of_workers(lambda: {1: 1}))("seconds=0.1", None)
    assert status == 502
    assert b"does not tell its profile" in body
