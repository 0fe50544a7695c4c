"""What a worker's process may run instead of a server. A new process imports it by name, so it lies here."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from convserve_server.settings import Settings


def crash(settings: Settings, number: int, pipe: Connection, late: bool) -> None:
    """As a fault in native code would end it."""
    os.abort()
