"""Whoever leads, one thread runs; and while a graph is captured, nobody else does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from convserve_server.engine.gate import Gate
from convserve_server.engine.model import Array
from convserve_server.engine.owner import OwnedInstance, Owner


class Recorder:
    """Writes down which thread runs it."""

    gathering_seconds = 0.25

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        self.threads.append(threading.current_thread())
        if not requests:
            raise ValueError("nothing to run")
        return requests[0]


def owned(recorder: Recorder) -> OwnedInstance:
    return OwnedInstance(recorder, Owner("test"), Gate())


def test_all_runs_are_in_one_thread_that_is_not_the_callers() -> None:
    recorder = Recorder()
    instance = owned(recorder)
    callers = [threading.Thread(target=instance.run, args=([(np.zeros(1),)],)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(recorder.threads) == 4
    assert len(set(recorder.threads)) == 1
    assert recorder.threads[0] not in callers


def test_results_errors_and_durations_come_through() -> None:
    instance = owned(Recorder())
    (result,) = instance.run([(np.arange(3),)])
    assert result.tolist() == [0, 1, 2]
    assert instance.gathering_seconds == 0.25
    with pytest.raises(ValueError, match="nothing to run"):
        instance.run([])


def test_the_thread_ends_with_the_instance() -> None:
    recorder = Recorder()
    instance = owned(recorder)
    instance.run([(np.zeros(1),)])
    del instance
    gc.collect()
    recorder.threads[0].join(10)
    assert not recorder.threads[0].is_alive()


def test_alone_waits_for_those_inside_and_keeps_others_out() -> None:
    gate = Gate()
    order: list[str] = []
    inside, leave, asked = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with gate.shared():
            inside.set()
            leave.wait(10)
            order.append("first leaves")

    def capture() -> None:
        asked.set()
        with gate.alone():
            order.append("alone")

    def second() -> None:
        with gate.shared():
            order.append("second enters")

    one, other = threading.Thread(target=first), threading.Thread(target=capture)
    one.start()
    inside.wait(10)
    other.start()
    asked.wait(10)
    while not gate._alone:
        pass
    late = threading.Thread(target=second)
    late.start()
    assert order == []
    leave.set()
    for thread in (one, other, late):
        thread.join(10)
    assert order == ["first leaves", "alone", "second enters"]


def test_several_share() -> None:
    gate = Gate()
    both = threading.Barrier(2)

    def work() -> None:
        with gate.shared():
            both.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not both.broken
