"""Host memory that the GPU reads by itself, without a copy through the driver's own buffers."""

from __future__ import annotations

import ctypes
import logging
import weakref
from typing import Any

from convserve_server.engine.model import Array

log = logging.getLogger(__name__)

# Of the CUDA runtime that ONNX Runtime has loaded; loading it by name finds that one.
_RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "cudart64_13.dll", "cudart64_12.dll")


def pin(array: Array, runtime: Any = None) -> bool:
    """Pin the memory of an array for as long as the array lives. False where that cannot be: copies are slower then."""
    runtime = runtime or _runtime()
    if runtime is None:
        return False
    start, size = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
    if error := runtime.cudaHostRegister(start, size, ctypes.c_uint(0)):
        log.warning("%d bytes of host memory could not be pinned (CUDA error %d): copies are slower", size.value, error)
        return False
    weakref.finalize(array, runtime.cudaHostUnregister, start)
    return True


def _runtime() -> Any:
    for name in _RUNTIMES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    log.warning("the CUDA runtime is not found, so host memory is not pinned: copies are slower")
    return None
