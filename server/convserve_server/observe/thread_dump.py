"""Where each thread is now, written to standard error on SIGUSR1: for a server that hangs."""

from __future__ import annotations

import faulthandler
import signal


def dump_threads_on_signal() -> None:
    """From now on, on systems that have the signal. It works even while no Python runs."""
    if hasattr(signal, "SIGUSR1") and hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGUSR1, all_threads=True)
