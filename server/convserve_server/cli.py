"""The command line of the server: read the settings, run until a signal, say in a sentence what went wrong."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

# Before grpc is imported: its own log lines are for its developers.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from convserve_server.app import App
from convserve_server.errors import StartupError
from convserve_server.settings import read_settings

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until SIGTERM or SIGINT. Returns 0 after a clean stop, 1 when it could not start."""
    stopping = _stop_on_signals()
    try:
        settings = read_settings(arguments)
        logging.basicConfig(
            level=settings.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s"
        )
        app = App(settings)
    except StartupError as error:
        print(f"convserve-server: {error}", file=sys.stderr)
        return 1
    try:
        app.start()
    except StartupError as error:
        print(f"convserve-server: {error}", file=sys.stderr)
        app.stop(grace=0)
        return 1
    stopping.wait()
    log.info("stopping: accepted calls have %g s to finish", settings.grace)
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
