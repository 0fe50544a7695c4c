"""Where each thread is now, written to standard error on SIGUSR1: for a server that seems to hang."""

from __future__ import annotations

import faulthandler
import signal


def dump_threads_on_signal() -> None:
    """From now on, on systems that have the signal. Called by the main thread."""
    if hasattr(signal, "SIGUSR1"):
        # Not faulthandler.register(): a SIGTERM that comes while its handler runs would not wake the main thread.
        signal.signal(signal.SIGUSR1, lambda *_: faulthandler.dump_traceback(all_threads=True))
