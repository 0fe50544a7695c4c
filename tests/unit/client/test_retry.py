"""When a call is tried again, proved with a clock and a chance of the tests' own: nothing sleeps."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from convserve_client.errors import CallError, Cancelled, DeadlineExceeded, InputError, ReplyError, Unavailable
from convserve_client.exchange import exchange
from convserve_client.retry import RETRIED, RetryPolicy
from convserve_client.steps import Answer, Failure, Send, Wait
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st


class World:
    """Carries the steps of an exchange out against prepared outcomes, on a clock that only it moves."""

    def __init__(self, *outcomes: Answer | Failure, cost: float = 0.0, overslept: float = 0.0) -> None:
        self.now = 1000.0
        self.outcomes = list(outcomes)
        self.timeouts: list[float] = []
        self.pauses: list[float] = []
        self._cost = cost
        self._overslept = overslept

    def run(self, *, timeout: float = 10.0, policy: RetryPolicy | None = None, chance: float = 0.0) -> Any:
        steps = exchange(
            "/a.B/C",
            b"request",
            self.parse,
            target="host:1",
            timeout=timeout,
            policy=policy or RetryPolicy(),
            clock=lambda: self.now,
            chance=lambda: chance,
        )
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
            if isinstance(step, Send):
                self.timeouts.append(step.timeout)
                self.now += self._cost
                outcome = self.outcomes.pop(0)
            else:
                assert isinstance(step, Wait)
                self.pauses.append(step.seconds)
                self.now += step.seconds + self._overslept
                outcome = None

    @staticmethod
    def parse(payload: bytes) -> str:
        if payload == b"broken":
            raise DecodeError("cut short")
        return payload.decode()


DOWN = Failure("UNAVAILABLE", "nobody there")


def test_an_answer_ends_it() -> None:
    world = World(Answer(b"reply"))
    assert world.run() == "reply"
    assert world.pauses == []


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CANCELLED"])
def test_a_server_that_comes_back_is_not_noticed(code: str) -> None:
    world = World(Failure(code, "stopping"), Failure(code, "stopping"), Answer(b"reply"))
    assert world.run() == "reply"
    assert world.pauses == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("code", [c.name for c in grpc.StatusCode if c.name not in {"OK", *RETRIED}])
def test_no_other_failure_is_tried_again(code: str) -> None:
    world = World(Failure(code, "no"))
    with pytest.raises(CallError):
        world.run()
    assert len(world.timeouts) == 1


def test_a_full_queue_is_never_asked_again() -> None:
    assert RetryPolicy().pause(attempt=1, code="RESOURCE_EXHAUSTED", time_left=60, chance=0) is None


def test_a_full_queue_is_asked_again_after_the_pause_that_the_server_asks_for() -> None:
    world = World(Failure("RESOURCE_EXHAUSTED", "full", retry_after=0.4), Answer(b"reply"))
    assert world.run(chance=1.0) == "reply"
    assert world.pauses == pytest.approx([0.45])


def test_a_pause_that_the_server_asks_for_is_added_to_our_own_so_that_clients_do_not_come_back_in_step() -> None:
    policy = RetryPolicy(first_pause=1.0, jitter=0.5)
    pauses = [
        policy.pause(attempt=1, code="UNAVAILABLE", time_left=99, chance=chance, retry_after=3.0) for chance in (0, 1)
    ]
    assert pauses == [4.0, 3.5]


def test_a_pause_longer_than_the_time_left_is_not_made() -> None:
    assert RetryPolicy().pause(attempt=1, code="RESOURCE_EXHAUSTED", time_left=1, chance=0, retry_after=2.0) is None


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_a_server_that_asks_for_no_other_try_gets_none(code: str) -> None:
    assert RetryPolicy().pause(attempt=1, code=code, time_left=60, chance=0, retry_after=-1.0) is None


def test_the_last_failure_is_raised_when_tries_run_out() -> None:
    world = World(DOWN, DOWN, Failure("CANCELLED", "the last"))
    with pytest.raises(Cancelled, match="the last"):
        world.run(policy=RetryPolicy(attempts=3))
    assert len(world.timeouts) == 3


def test_one_attempt_means_no_retry() -> None:
    world = World(DOWN)
    with pytest.raises(Unavailable):
        world.run(policy=RetryPolicy(attempts=1))
    assert world.pauses == []


def test_the_deadline_spans_all_tries() -> None:
    """Each try gets what the ones before it and the pauses have left."""
    world = World(DOWN, DOWN, Answer(b"reply"), cost=1.0)
    world.run(timeout=10.0)
    assert world.timeouts == pytest.approx([10.0, 8.9, 7.7])


def test_a_pause_that_would_outlast_the_deadline_is_not_made() -> None:
    world = World(DOWN, cost=0.95)
    with pytest.raises(Unavailable):
        world.run(timeout=1.0)
    assert world.pauses == []


def test_no_try_is_made_after_the_deadline_though_the_pause_took_too_long() -> None:
    world = World(DOWN, Answer(b"too late"), overslept=5.0)
    with pytest.raises(Unavailable):
        world.run(timeout=1.0)
    assert len(world.timeouts) == 1


def test_a_deadline_that_passes_says_how_long_it_was_and_what_went_wrong_before() -> None:
    world = World(DOWN, Failure("DEADLINE_EXCEEDED", "Deadline Exceeded"))
    with pytest.raises(
        DeadlineExceeded, match="no answer came within 2 s; the try before failed with UNAVAILABLE: nob"
    ):
        world.run(timeout=2.0)


def test_a_reply_that_cannot_be_parsed_is_an_error_of_its_own() -> None:
    with pytest.raises(ReplyError, match="host:1"):
        World(Answer(b"broken")).run()


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf")])
def test_there_is_always_a_deadline(timeout: float) -> None:
    world = World(Answer(b"reply"))
    with pytest.raises(InputError, match="timeout"):
        world.run(timeout=timeout)
    assert world.timeouts == []


def test_pauses_grow_to_a_limit() -> None:
    policy = RetryPolicy(attempts=9, first_pause=0.5, growth=3.0, longest_pause=2.0)
    pauses = [policy.pause(attempt=n, code="UNAVAILABLE", time_left=99, chance=0.0) for n in (1, 2, 3, 4)]
    assert pauses == [0.5, 1.5, 2.0, 2.0]


def test_chance_shortens_a_pause_by_at_most_the_jitter() -> None:
    policy = RetryPolicy(first_pause=1.0, jitter=0.5)
    assert policy.pause(attempt=1, code="UNAVAILABLE", time_left=99, chance=0.0) == 1.0
    assert policy.pause(attempt=1, code="UNAVAILABLE", time_left=99, chance=1.0) == 0.5


@given(attempt=st.integers(1, 10**6), chance=st.floats(0, 1), time_left=st.floats(-10, 100), jitter=st.floats(0, 1))
def test_a_pause_is_never_negative_too_long_or_past_the_deadline(
    attempt: int, chance: float, time_left: float, jitter: float
) -> None:
    policy = RetryPolicy(attempts=10**7, jitter=jitter)
    pause = policy.pause(attempt=attempt, code="UNAVAILABLE", time_left=time_left, chance=chance)
    assert pause is None or 0 <= pause <= min(policy.longest_pause, time_left)


@pytest.mark.parametrize(
    "settings",
    [
        {"attempts": 0},
        {"first_pause": -1.0},
        {"longest_pause": float("inf")},
        {"growth": 0.5},
        {"growth": float("nan")},
        {"jitter": 1.5},
    ],
)
def test_a_policy_that_cannot_work_is_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        RetryPolicy(**settings)
