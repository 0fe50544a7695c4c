"""A model that keeps failing is not ready, one that is only sent nonsense is, and what is mended is ready again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.model import Array
from convserve_server.engine.vitals import FAILURES_IN_A_ROW, Vitals
from convserve_server.errors import InferenceFailed
from support.batching import Caller, rows, send

PROBE = rows(0)


class Fragile:
    """Doubles its rows; fails on rows above 100, and on all while it is ``broken``."""

    gathering_seconds = 0.0

    def __init__(self) -> None:
        self.broken = False
        self.batches: list[list[float]] = []

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        values = np.concatenate([r[0] for r in requests])
        self.batches.append(values[:, 0].tolist())
        if self.broken or values.max() > 100:
            raise RuntimeError("no")
        return [values * 2]


class Scene:
    """A model, what was told of it, and the probes that wait to be started."""

    def __init__(self, probe: tuple[Array, ...] | None = PROBE) -> None:
        self.instance = Fragile()
        self.threads: list[Callable[[], None]] = []
        self.pauses: list[Callable[[], None]] = []
        self.told: list[str] = []
        self.vitals = Vitals("it", probe, pause=self._pause, start=self.threads.append)
        self.vitals.on_change = lambda: self.told.append(self.vitals.failing)
        self.batcher = Batcher([self.instance], Limits(max_batch_size=8, max_queue_size=8), vitals=self.vitals)

    def _pause(self, seconds: float) -> bool:
        if not self.pauses:
            return True
        self.pauses.pop(0)()
        return False

    def call(self, value: float) -> Caller:
        caller = send(self.batcher, rows(value))
        self.batcher.lead()
        return caller

    def fail(self, times: int = FAILURES_IN_A_ROW, value: float = 1000) -> None:
        for _ in range(times):
            assert isinstance(self.call(value).result, InferenceFailed)

    def probe(self) -> None:
        self.threads.pop()()


def test_a_few_failures_are_no_reason_to_ask() -> None:
    scene = Scene()
    for _ in range(3):
        scene.fail(FAILURES_IN_A_ROW - 1)
        assert scene.call(1).rows == [2]
    assert scene.threads == []
    assert scene.told == []


def test_a_model_that_fails_its_probe_is_not_ready_and_says_why() -> None:
    scene = Scene()
    scene.instance.broken = True
    scene.fail(value=1)
    assert not scene.vitals.failing, "nothing is known before the probe"
    scene.probe()
    assert "so does a run of the input that it was warmed with" in scene.vitals.failing
    assert len(scene.told) == 1


def test_callers_that_send_what_the_model_cannot_run_do_not_make_it_look_broken() -> None:
    scene = Scene()
    scene.fail(3 * FAILURES_IN_A_ROW)
    assert len(scene.threads) == 1, "one question at a time"
    scene.probe()
    assert scene.told == []
    scene.fail()
    assert len(scene.threads) == 1, "they go on, and so it is asked again"


def test_a_probe_shares_no_batch_with_callers() -> None:
    scene = Scene()
    scene.fail()
    waiting = send(scene.batcher, rows(999))
    scene.probe()
    assert scene.instance.batches[-2:] == [[999.0], [0.0]]
    assert isinstance(waiting.result, InferenceFailed)
    assert scene.told == []


def test_a_probe_finds_room_in_a_full_queue_and_counts_as_no_request() -> None:
    scene = Scene()
    scene.fail()
    requests = scene.batcher.statistics.requests
    for _ in range(8):
        send(scene.batcher, rows(1))
    scene.probe()
    assert scene.told == []
    assert scene.batcher.statistics.requests == requests + 8
    assert scene.batcher.counts.requests.count == 8
    assert scene.batcher.waiting_rows == 0


def test_a_model_is_probed_until_it_works_again() -> None:
    scene = Scene()
    scene.instance.broken = True
    scene.fail(value=1)
    scene.pauses = [lambda: None, lambda: setattr(scene.instance, "broken", False)]
    scene.probe()
    assert scene.vitals.failing == ""
    assert len(scene.told) == 2
    assert scene.told[-1] == ""
    assert scene.instance.batches[-3:] == [[0.0]] * 3


def test_a_caller_s_good_run_is_proof_enough() -> None:
    scene = Scene()
    scene.instance.broken = True
    scene.fail(value=1)
    scene.probe()
    scene.instance.broken = False
    assert scene.call(3).rows == [6]
    assert scene.vitals.failing == ""
    assert len(scene.told) == 2


def test_a_model_of_which_no_input_is_known_is_judged_by_its_callers_runs() -> None:
    scene = Scene(probe=None)
    scene.fail()
    assert scene.vitals.failing == f"its last {FAILURES_IN_A_ROW} runs failed"
    assert scene.threads == []
    assert scene.call(1).rows == [2]
    assert scene.vitals.failing == ""


def test_nobody_probes_a_model_that_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    vitals = Vitals("it", PROBE, start=scene.threads.append)
    batcher = Batcher([scene.instance], Limits(), vitals=vitals)
    scene.instance.broken = True
    for _ in range(FAILURES_IN_A_ROW):
        send(batcher, rows(1))
        batcher.lead()
    vitals.close()
    scene.probe()  # would go on for ever
    assert "it is not ready" in caplog.text


def test_a_probe_that_fails_is_believed_though_callers_keep_its_leader_busy() -> None:
    """Whoever probes leads, and under load there is always more to run."""
    seen: list[str] = []

    class Busy(Fragile):
        def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
            seen.append(scene.vitals.failing)
            if len(seen) < 20:
                send(scene.batcher, rows(1))
            return super().run(requests)

    scene = Scene()
    scene.instance = busy = Busy()
    scene.batcher = Batcher([busy], Limits(max_batch_size=8), vitals=scene.vitals)
    busy.broken = True
    scene.fail(1, value=1)
    assert len(scene.threads) == 1
    assert len(seen) == 20
    seen.clear()
    scene.probe()
    assert seen[0] == ""
    assert all("warmed with" in failing for failing in seen[1:])


def test_where_no_thread_is_to_be_had_for_a_probe_the_model_serves_on_and_is_asked_later() -> None:
    scene = Scene()
    starts = [scene.threads.append, None]

    def start(target: Callable[[], None]) -> None:
        begin = starts.pop()
        if begin is None:
            raise RuntimeError("can't start new thread")
        begin(target)

    scene.vitals._start = start
    scene.fail()
    assert scene.threads == []
    scene.fail(1)
    assert len(scene.threads) == 1
    assert scene.call(1).rows == [2]
