"""Tells systemd how the server is, by its protocol (sd_notify(3)): a datagram to the socket that $NOTIFY_SOCKET names.

Without that variable nothing is told, and nothing costs anything.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class ServiceManager:
    """Whoever has started this process and wants to know when it is ready, stops, and lives."""

    def __init__(self, environment: Mapping[str, str] = os.environ, process: int | None = None) -> None:
        """``process`` is this process's number, where it is not asked for."""
        address = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte of an address that is no file.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = self._watchdog(environment, os.getpid() if process is None else process)
        """Seconds between two signs of life that it waits for at most; None where it waits for none."""

    def _watchdog(self, environment: Mapping[str, str], process: int) -> float | None:
        microseconds = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(process)) == str(process)
        if not (self._address and meant and microseconds.isdecimal() and int(microseconds)):
            return None
        # Half of what it waits, as it asks for.
        return int(microseconds) / 2e6

    def ready(self) -> None:
        """The server serves."""
        self._tell("READY=1", "STATUS=serving")

    def stopping(self, seconds: float) -> None:
        """The server drains, which may take so many seconds: it shall not be ended before."""
        self._tell("STOPPING=1", "STATUS=draining", f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def alive(self) -> None:
        """A sign of life."""
        self._tell("WATCHDOG=1")

    def _tell(self, *words: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one:
                one.settimeout(1.0)
                one.sendto("\n".join(words).encode(), self._address)
        except OSError as error:
            # A server that serves does not end because nobody listens.
            log.warning("the service manager cannot be told %s: %s", words[0], error.strerror or error)
