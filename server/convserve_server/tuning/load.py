"""A closed loop of requests in this process: through the model's own batcher, without a network."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable

from convserve_server.engine.model import Answer, Array, Model
from convserve_server.errors import ServerError
from convserve_server.tuning.candidates import Figures

REQUESTS = 32
"""In flight under load: four connections with eight calls each."""
PAUSE = 1e-4
"""Seconds that a loop with nothing to lead lets the others work."""


class _Callers:
    """Each sends its next request as soon as its last one is answered. They wait until they are told to stop."""

    deadline = math.inf

    def __init__(self, model: Model, inputs: tuple[Array, ...], clock: Callable[[], float]) -> None:
        self._model, self._inputs, self._clock = model, inputs, clock
        self.latencies: list[float] = []
        self.error: ServerError | None = None
        self.stopping = False
        self.in_flight = 0
        self.heard = threading.Event()
        """Set at the first answer."""
        self._lock = threading.Lock()

    def abandoned(self) -> bool:
        """Of a model that takes seconds for a batch, nobody needs those that still wait at the stop."""
        return self.stopping

    def await_room(self) -> bool:
        """Each waits for its own answer only."""
        return False

    def send(self) -> None:
        sent = self._clock()
        with self._lock:
            self.in_flight += 1
        self._model.submit(self._inputs, self, lambda result: self._answered(sent, result))

    def _answered(self, sent: float, result: Answer | ServerError) -> None:
        if isinstance(result, Answer):
            self.latencies.append(self._clock() - sent)
        elif not self.stopping:
            self.error = result
        self.heard.set()
        with self._lock:
            self.in_flight -= 1
        if not self.stopping and self.error is None:
            self.send()

    def lead(self) -> None:
        """Run batches until all are answered after the stop, as a loop of the transport does."""
        while self.in_flight:
            if not self._model.lead(1):
                time.sleep(PAUSE)


def measure(
    model: Model,
    inputs: tuple[Array, ...],
    loops: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Figures:
    """Figures of a model: a tenth of ``seconds`` to warm up, a fifth with one caller, the rest with many.

    ``loops`` threads lead, as many as there are instances. Raises what a request that fails is answered with.
    """
    _load(model, inputs, loops, REQUESTS, 0.1 * seconds, clock)
    alone, _ = _load(model, inputs, 1, 1, 0.2 * seconds, clock)
    latencies, taken = _load(model, inputs, loops, REQUESTS, 0.7 * seconds, clock)
    latencies.sort()
    return Figures(
        rate=len(latencies) / taken,
        p50=latencies[len(latencies) // 2],
        p95=latencies[int(0.95 * len(latencies))],
        alone=statistics.median(alone),
    )


def _load(
    model: Model, inputs: tuple[Array, ...], loops: int, requests: int, seconds: float, clock: Callable[[], float]
) -> tuple[list[float], float]:
    """Latencies of all answered requests, and how long it took."""
    callers = _Callers(model, inputs, clock)
    started = clock()
    for _ in range(requests):
        callers.send()
    threads = [threading.Thread(target=callers.lead) for _ in range(loops)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    callers.heard.wait()
    callers.stopping = True
    for thread in threads:
        thread.join()
    if callers.error is not None:
        raise callers.error
    return callers.latencies, clock() - started
