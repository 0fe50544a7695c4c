"""How the process keeps memory: in one place, ready for the next request, instead of giving it back after each."""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEEP = 32 << 20
"""Bytes: the largest threshold that glibc takes, and room for several large requests."""


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
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, _KEEP), (_M_TRIM_THRESHOLD, _KEEP))
    return all(mallopt(name, value) == 1 for name, value in settings)
