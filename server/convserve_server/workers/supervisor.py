"""The parent of the workers: starts them, starts those that crash again, speaks for all of them, and stops them."""

from __future__ import annotations

import contextlib
import copy
import logging
import math
import signal
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from convserve_server.errors import InvalidSettings, StartupError
from convserve_server.metrics_endpoint import MetricsEndpoint
from convserve_server.observe.profile_page import ProfilePage, of_workers
from convserve_server.port_file import write_port
from convserve_server.service_manager import ServiceManager
from convserve_server.settings import Settings
from convserve_server.workers.guard import PortGuard
from convserve_server.workers.restarts import RestartPolicy
from convserve_server.workers.slot import STOP_SIGNALS, Slot, Stage, Target
from convserve_server.workers.words import CannotStart, Serving

if TYPE_CHECKING:
    from convserve_server.workers.metrics import WorkerMetrics

log = logging.getLogger(__name__)

AFTER_GRACE = 15.0
"""Seconds that a worker has to end after the grace, before it is ended."""


class Supervisor:
    """Keeps ``settings.workers`` processes serving on one port. run() does everything, in the main thread."""

    def __init__(
        self,
        settings: Settings,
        *,
        target: Target | None = None,
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._given, self._clock = settings, clock
        self._target, self._policy = target or _work, policy or RestartPolicy()
        self._slots: list[Slot] = []
        self._metrics: WorkerMetrics | None = None
        self._manager = ServiceManager()
        self._open = False
        """True once all have loaded: who comes later need not wait for the others."""
        self._ready = False
        self._stopping = False
        self._kill_at = math.inf
        self._failure: str | None = None
        self.exit_code = 0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Gives the exit code: 0 when every worker drained well.

        Raises InvalidSettings when the port cannot be claimed or an option speaks of one process only, StartupError
        when a worker could not start at first.
        """
        if self._given.repository_mode == "explicit":
            raise InvalidSettings(
                "--repository-mode explicit has callers load models, and a call reaches one worker of several: "
                "with --workers take --repository-mode poll, which all of them follow, or leave one of the two out"
            )
        with (
            contextlib.closing(PortGuard(self._given.listen)) as guard,
            self._endpoint(),
            _signals() as signals,
        ):
            settings = copy.copy(self._given)
            settings.listen, settings.port_file = guard.address, None
            if self._metrics is not None:
                settings.metrics = "127.0.0.1:0"
            log.info("%d workers share %s", settings.workers, guard.address)
            numbers = range(1, settings.workers + 1)
            self._slots = [Slot(n, settings, self._target, self._policy) for n in numbers]
            try:
                for slot in self._slots:
                    self._start(slot)
                while not self._stopping or any(slot.process for slot in self._slots):
                    self._turn(signals, guard.port)
            finally:
                for slot in self._slots:
                    slot.kill()
        if self._failure is not None:
            raise StartupError(self._failure)
        log.info("stopped")
        return self.exit_code

    @contextlib.contextmanager
    def _endpoint(self) -> Iterator[None]:
        """Metrics and probes over HTTP, where they are wanted: one endpoint speaks for all workers."""
        if self._given.metrics is None:
            yield
            return
        self._metrics = _worker_metrics()
        profile = ProfilePage(take=of_workers(self._metrics.ports)) if self._given.profiling else None
        endpoint = MetricsEndpoint(self._given.metrics, self._metrics.text, self._anyone_serves, profile)
        endpoint.start()
        log.info("metrics at port %d: /metrics, /healthz, /readyz", endpoint.port)
        try:
            yield
        finally:
            endpoint.stop()

    def _anyone_serves(self) -> bool:
        """Whether to send calls here: all have served once, and while one is started again the others do.

        One that serves may still be without a model that works, so each is asked.
        """
        if self._metrics is None or not self._ready or self._stopping:
            return False
        return any(slot.stage is Stage.SERVING for slot in self._slots) and self._metrics.serves()

    def _start(self, slot: Slot) -> None:
        if self._metrics is not None and slot.starts:
            self._metrics.restarted()
        slot.start(late=self._open)
        log.info("worker %d started (process %d)", slot.number, slot.process.pid if slot.process else 0)

    def _turn(self, signals: socket.socket, port: int) -> None:
        """Wait for something to happen, and act on it."""
        if self._manager.watchdog is not None:
            self._manager.alive()
        life = math.inf if self._manager.watchdog is None else self._clock() + self._manager.watchdog
        next_moment = min([life, self._kill_at, *(slot.due for slot in self._slots)])
        timeout = None if next_moment == math.inf else max(0.0, next_moment - self._clock())
        sources: list[Connection | socket.socket | int] = [signals]
        for slot in self._slots:
            sources += [slot.process.sentinel] if slot.process else []
            sources += [slot.pipe] if slot.pipe else []
        happened = set(wait(sources, timeout))
        for slot in self._slots:
            ended = slot.process is not None and slot.process.sentinel in happened
            self._hear(slot, port)
            if ended:
                self._ended(slot)
        if signals in happened:
            self._signalled(signals.recv(64))
        now = self._clock()
        for slot in self._slots:
            if slot.due <= now:
                self._start(slot)
        if now >= self._kill_at:
            self._kill_at = math.inf
            self._kill("does not end within the grace", 1)

    def _hear(self, slot: Slot, port: int) -> None:
        for report in slot.reports(self._clock()):
            if self._metrics is not None and isinstance(report, Serving) and report.metrics_port is not None:
                self._metrics.serving(slot.number, report.metrics_port)
            if isinstance(report, CannotStart):
                log.error("worker %d: %s", slot.number, report.reason)
                if not self._open and self._failure is None:
                    self._failure = report.reason
                    self._stop()
        if self._stopping:
            return
        if not self._open:
            # Nobody serves before everybody can: who is told that we are ready may connect to any of them.
            self._open = all(s.stage is Stage.LOADED for s in self._slots)
            if self._open:
                for other in self._slots:
                    other.serve()
        elif slot.stage is Stage.LOADED:
            slot.serve()
        if not self._ready and all(s.stage is Stage.SERVING for s in self._slots):
            self._ready = True
            if self._given.port_file is not None:
                write_port(self._given.port_file, port)
            self._manager.ready()
            log.info("ready")

    def _ended(self, slot: Slot) -> None:
        drained, served = slot.stage is Stage.SERVING, self._clock() - slot.serving_since
        code = slot.bury()
        if self._metrics is not None:
            self._metrics.ended(slot.number)
        if self._stopping:
            if code and self._failure is None and not self.exit_code:
                log.error("worker %d did not drain: %s", slot.number, _how(code))
                self.exit_code = 1
            return
        if code == 0 and drained:
            log.warning("worker %d ended unasked; another one takes its place", slot.number)
            slot.due = self._clock()
            return
        delay = slot.crashes.add(served)
        if delay is None:
            log.error("worker %d %s, %d times in a row: giving up", slot.number, _how(code), slot.crashes.count)
            self.exit_code = 1
            self._stop()
            return
        log.error("worker %d %s; another one is started in %g s", slot.number, _how(code), delay)
        slot.due = self._clock() + delay

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number not in STOP_SIGNALS:
                continue
            if self._stopping:
                self._kill("is ended by a second signal", 128 + number)
                return
            log.info("stopping: accepted calls have %g s to finish", self._given.grace)
            self._stop()

    def _stop(self) -> None:
        """Let all drain."""
        self._stopping = True
        seconds = self._given.pre_stop_delay + self._given.grace + AFTER_GRACE
        self._manager.stopping(seconds)
        self._kill_at = self._clock() + seconds
        for slot in self._slots:
            slot.stop()

    def _kill(self, why: str, exit_code: int) -> None:
        self.exit_code = exit_code
        for slot in self._slots:
            if slot.process is not None:
                log.error("worker %d %s", slot.number, why)
                slot.kill()


def _worker_metrics() -> WorkerMetrics:
    try:
        from convserve_server.workers.metrics import WorkerMetrics
    except ImportError as error:
        raise InvalidSettings(
            f"--metrics needs prometheus-client ({error}): pip install 'convserve[metrics]', or leave it out"
        ) from error
    return WorkerMetrics()


def _work(settings: Settings, number: int, pipe: Connection, late: bool) -> None:
    # Only workers need gRPC and ONNX Runtime: their parent starts at once and stays small.
    from convserve_server.workers.process import work

    work(settings, number, pipe, late)


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that gets a byte, its number, for each SIGTERM and SIGINT."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, lambda *_: None) for number in STOP_SIGNALS}
    before_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()
