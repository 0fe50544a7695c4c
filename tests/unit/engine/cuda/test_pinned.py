"""Host memory is pinned for as long as it lives; where it cannot be, copies are only slower."""

from __future__ import annotations

import ctypes

import numpy as np
from convserve_server.engine.pinned import pin


class FakeRuntime:
    """The two functions of the CUDA runtime."""

    def __init__(self, error: int = 0) -> None:
        self.error = error
        self.registered: list[tuple[int, int]] = []
        self.unregistered: list[int] = []

    def cudaHostRegister(self, start: ctypes.c_void_p, size: ctypes.c_size_t, flags: ctypes.c_uint) -> int:  # noqa: N802
        self.registered.append((start.value or 0, size.value))
        return self.error

    def cudaHostUnregister(self, start: ctypes.c_void_p) -> int:  # noqa: N802
        self.unregistered.append(start.value or 0)
        return 0


def test_memory_is_pinned_until_the_array_goes() -> None:
    runtime = FakeRuntime()
    array = np.zeros((4, 8), np.float32)
    start = array.ctypes.data
    assert pin(array, runtime)
    assert runtime.registered == [(start, 128)]
    assert runtime.unregistered == []
    del array
    assert runtime.unregistered == [start]


def test_memory_that_cannot_be_pinned_is_left_alone() -> None:
    runtime = FakeRuntime(error=2)
    array = np.zeros(4)
    assert not pin(array, runtime)
    del array
    assert runtime.unregistered == []
