"""One worker: a whole server in a process of its own, which does what its parent says."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from multiprocessing.connection import Connection

from convserve_server.app import App
from convserve_server.errors import StartupError
from convserve_server.memory import keep_freed_memory
from convserve_server.observe.log_format import set_up_logging
from convserve_server.observe.thread_dump import dump_threads_on_signal
from convserve_server.settings import Settings
from convserve_server.workers.words import CannotStart, Loaded, Order, Report, Serving

log = logging.getLogger(__name__)


def work(settings: Settings, number: int, pipe: Connection, late: bool) -> None:
    """Load, wait for the order to serve, serve until the order to stop, drain. The process exits with 0 after that.

    Signals are the parent's to handle; a SIGTERM for this worker alone drains it. When the parent is gone, so is the
    worker. A ``late`` one joins others that serve already: it listens only when it can answer.
    """
    # Before there are threads, which would get pools of their own.
    keep_freed_memory()
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    # They were blocked while this process was made.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    set_up_logging(settings.log_level, settings.log_format, number)
    dump_threads_on_signal()
    app: App | None = None
    try:
        app = App(settings, shared_port=True)
        if not late:
            app.listen()
        app.load()
        _tell(pipe, Loaded())
        if _order(pipe) is Order.SERVE:
            if late:
                app.listen()
            app.serve()
            _tell(pipe, Serving(app.metrics_port))
            threading.Thread(target=_await_stop, args=(pipe, stopping), daemon=True).start()
            stopping.wait()
    except StartupError as error:
        _tell(pipe, CannotStart(str(error)))
        if app is not None:
            app.stop(grace=0)
        sys.exit(1)
    app.withdraw()
    app.stop()


def _await_stop(pipe: Connection, stopping: threading.Event) -> None:
    while _order(pipe) is not Order.STOP:
        pass
    stopping.set()


def _order(pipe: Connection) -> Order:
    """The parent's next order; a parent that is gone wants us to stop."""
    try:
        order: Order = pipe.recv()
    except (EOFError, OSError):
        log.error("the parent is gone")
        return Order.STOP
    return order


def _tell(pipe: Connection, report: Report) -> None:
    # A parent that is gone needs no report; what follows notices it.
    with contextlib.suppress(OSError):
        pipe.send(report)
