"""How the process keeps memory: in one place, ready for the next request, instead of giving it back after each."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable

from convserve_server.load import Load

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MAP_FROM = 4 << 20
"""Bytes: buffers of requests are smaller and are reused; larger ones belong to models and are mapped as they come."""
_KEEP = 8 << 20
"""Bytes that may be free at the top of the heap before they are given back: room for several large requests."""

_WORTH_IT = 64 << 20
"""Bytes of requests after which it is worth a look what they have left behind."""


def give_back_memory() -> None:
    """Give back what is free anywhere in the heap, where the C library can.

    Loading a model needs far more than it keeps, and so does a crowd of requests. Takes milliseconds, in which nobody
    else can allocate.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(_KEEP)


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to reuse freed memory. True where it was told; other C libraries are left as they are.

    By default it maps each large buffer anew and unmaps it after use, so that the kernel zeroes every page of every
    request: for a request of 393 KB that was half of the CPU time outside of the model. And it keeps a pool for each
    thread, which adds up. docs/performance.md has the figures.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _MAP_FROM), (_M_TRIM_THRESHOLD, _KEEP))
    return all(mallopt(name, value) == 1 for name, value in settings)


class Rest:
    """Gives memory back once nobody calls any more: look() is to be called every few seconds.

    A crowd whose requests waited side by side leaves pages behind that fewer callers never use again.
    """

    def __init__(self, load: Load, give_back: Callable[[], None] = give_back_memory) -> None:
        self._load, self._give_back = load, give_back
        self._seen = self._tidied = load.taken_bytes

    def look(self) -> None:
        """Give back what is free, if enough was received since the last time, and nothing since the last look."""
        taken = self._load.taken_bytes
        quiet = taken == self._seen and not self._load.waiting_bytes
        self._seen = taken
        if quiet and taken - self._tidied >= _WORTH_IT:
            self._tidied = taken
            self._give_back()
