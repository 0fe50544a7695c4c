"""One server in this process, until a signal."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType

from convserve_server.app import App
from convserve_server.errors import StartupError
from convserve_server.memory import keep_freed_memory
from convserve_server.service_manager import ServiceManager
from convserve_server.settings import Settings

AFTER_GRACE = 15.0
"""Seconds that the service manager is asked for beyond the grace."""

log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Gives the exit code, 0; raises StartupError when it cannot start."""
    # Before there are threads, which would get pools of their own.
    keep_freed_memory()
    stopping = _stop_on_signals()
    app = App(settings)
    try:
        app.start()
    except StartupError:
        app.stop(grace=0)
        raise
    manager = ServiceManager()
    manager.ready()
    while not stopping.wait(manager.watchdog):
        manager.alive()
    log.info("stopping: accepted calls have %g s to finish", settings.grace)
    manager.stopping(settings.pre_stop_delay + settings.grace + AFTER_GRACE)
    app.withdraw()
    app.stop()
    return 0


def _stop_on_signals() -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets; a second one ends the process at once."""
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stopping
