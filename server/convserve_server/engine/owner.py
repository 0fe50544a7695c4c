"""A run slot whose runs all happen in one thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from convserve_server.engine.batcher import Instance
from convserve_server.engine.gate import Gate
from convserve_server.engine.model import Array

T = TypeVar("T")


class Owner:
    """One thread. It ends when nobody holds the owner any more."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def call(self, work: Callable[[], T]) -> T:
        """Have the thread do it, and wait. What it raises is raised here."""
        return self._thread.submit(work).result()


class OwnedInstance:
    """Runs another instance in its owner's thread, whichever thread leads.

    The CUDA provider keeps what it has prepared, graphs among it, for each thread that runs a session. Whoever leads
    changes from batch to batch, and would prepare everything anew.
    """

    def __init__(self, instance: Instance, owner: Owner, gate: Gate) -> None:
        self._instance, self._owner, self._gate = instance, owner, gate
        self.gathering_seconds = 0.0

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        """See Instance.run."""
        outputs = self._owner.call(lambda: self._run(requests))
        self.gathering_seconds = self._instance.gathering_seconds
        return outputs

    def _run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        with self._gate.shared():
            return self._instance.run(requests)
