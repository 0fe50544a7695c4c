"""Who makes the server wait too long is let go: proved with a clock of the tests' own."""

from __future__ import annotations

from convserve_server.transport.slow_callers import Phase, SlowCallers, Transferring


class FakeCall:
    def __init__(self, phase: Phase | None) -> None:
        self.phase = phase
        self.sentences: list[str] = []

    def waits_for_caller(self) -> Phase | None:
        return self.phase

    def give_up(self, sentence: str) -> None:
        self.sentences.append(sentence)


class World:
    def __init__(self, *calls: Transferring) -> None:
        self.now = 100.0
        self.counted: list[str] = []
        self.slow = SlowCallers(lambda: calls, 10.0, self.counted.append, clock=lambda: self.now)

    def look_after(self, seconds: float) -> None:
        self.now += seconds
        self.slow.look()


def test_who_sends_no_whole_request_in_time_is_told_and_counted() -> None:
    call = FakeCall("request")
    world = World(call)
    world.look_after(0)
    world.look_after(9.9)
    assert call.sentences == []
    world.look_after(0.1)
    assert call.sentences == ["the caller had not sent its whole request after 10 s"]
    assert world.counted == ["slow_request"]


def test_who_takes_no_answer_is_told_and_counted() -> None:
    call = FakeCall("answer")
    world = World(call)
    world.look_after(0)
    world.look_after(10)
    assert call.sentences == ["the caller had not taken its answer after 10 s"]
    assert world.counted == ["slow_answer"]


def test_a_call_that_the_server_works_on_may_take_as_long_as_it_does() -> None:
    call = FakeCall(None)
    world = World(call)
    for _ in range(5):
        world.look_after(10)
    assert call.sentences == []


def test_the_time_for_the_answer_begins_when_it_is_sent() -> None:
    call = FakeCall("request")
    world = World(call)
    world.look_after(0)
    call.phase = "answer"
    world.look_after(9)
    world.look_after(9)
    assert call.sentences == []
    world.look_after(1)
    assert len(call.sentences) == 1
