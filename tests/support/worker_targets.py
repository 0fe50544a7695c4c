"""What a worker's process may run instead of a server. A new process imports it by name, so it lies here."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Connection

from convserve_server.settings import Settings
from convserve_server.workers.words import Loaded, Serving


def crash(settings: Settings, number: int, pipe: Connection, late: bool) -> None:
    """As a fault in native code would end it."""
    os.abort()


def ignore_orders(settings: Settings, number: int, pipe: Connection, late: bool) -> None:
    """Says that it serves, and then hangs as a deadlock would have it."""
    pipe.send(Loaded())
    pipe.send(Serving())
    threading.Event().wait()
