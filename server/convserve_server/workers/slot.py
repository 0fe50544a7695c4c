"""One place for a worker: the process that holds it now, what it has said, and when the next one is due."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import signal
from collections.abc import Callable
from enum import Enum
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from convserve_server.settings import Settings
from convserve_server.workers.restarts import Crashes, RestartPolicy
from convserve_server.workers.words import Loaded, Order, Report, Serving

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# What is forked from a process with threads may hang; gRPC's and ONNX Runtime's have some.
_SPAWN = multiprocessing.get_context("spawn")

Target = Callable[[Settings, int, Connection, bool], None]
"""What a worker's process runs; see process.work."""


class Stage(Enum):
    """How far a worker has come."""

    DOWN = "down"
    LOADING = "loading"
    LOADED = "loaded"
    ORDERED = "ordered to serve"
    SERVING = "serving"


class Slot:
    """Not thread-safe: the supervisor's one thread uses it."""

    def __init__(self, number: int, settings: Settings, target: Target, policy: RestartPolicy) -> None:
        self.number, self._settings, self._target = number, settings, target
        self.crashes = Crashes(policy)
        self.stage = Stage.DOWN
        self.due = math.inf
        """When to start the next process; infinity where none is wanted."""
        self.serving_since = math.inf
        self.starts = 0
        self.process: SpawnProcess | None = None
        self.pipe: Connection | None = None

    def start(self, *, late: bool) -> None:
        """Start a process; see process.work for ``late``."""
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=self._target,
            args=(self._settings, self.number, theirs, late),
            name=f"worker-{self.number}",
            daemon=True,
        )
        # A new process starts with the signals blocked, and unblocks them when it knows what to do with them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        # Held by the worker alone, its end of the pipe says when it is gone; and ours, when we are.
        theirs.close()
        self.process, self.pipe = process, ours
        self.starts += 1
        self.stage, self.due, self.serving_since = Stage.LOADING, math.inf, math.inf

    def reports(self, now: float) -> list[Report]:
        """What the worker has said since the last look. Never waits."""
        said: list[Report] = []
        while self.pipe is not None:
            try:
                if not self.pipe.poll():
                    break
                said.append(self.pipe.recv())
            except (EOFError, OSError):
                self.pipe.close()
                self.pipe = None
        for report in said:
            if isinstance(report, Loaded):
                self.stage = Stage.LOADED
            elif isinstance(report, Serving):
                self.stage, self.serving_since = Stage.SERVING, now
        return said

    def serve(self) -> None:
        """Tell a worker that has loaded to serve; once."""
        self.stage = Stage.ORDERED
        self._tell(Order.SERVE)

    def stop(self) -> None:
        """Tell the worker to drain, and start no other."""
        self.due = math.inf
        self._tell(Order.STOP)

    def _tell(self, order: Order) -> None:
        # One that is gone does not hear it; its end is noticed elsewhere.
        if self.pipe is not None:
            with contextlib.suppress(OSError):
                self.pipe.send(order)

    def kill(self) -> None:
        """End the process at once."""
        if self.process is not None:
            self.process.kill()

    def bury(self) -> int:
        """Its process has ended: forget it. Gives the exit code, negative where a signal ended it."""
        process = self.process
        if process is None:
            raise RuntimeError("there is no process")
        process.join()
        code = process.exitcode or 0
        process.close()
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None
        self.stage = Stage.DOWN
        return code
