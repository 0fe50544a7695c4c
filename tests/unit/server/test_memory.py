"""Freed memory is kept for the next request, where the C library can be told so."""

from __future__ import annotations

import platform
import subprocess
import sys
from multiprocessing import Pipe

import pytest
from convserve_server import single
from convserve_server.load import Load
from convserve_server.memory import Rest
from convserve_server.settings import Settings
from convserve_server.workers import process

FAULTS = """
import resource, sys
from convserve_server.memory import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def request():
    # Several buffers at a time, freed together, as a large request has them.
    buffers = [bytearray(b"x" * 400_000) for _ in range(8)]
request()
before = faults()
for _ in range(20): request()
print(faults() - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_large_buffers_cost_no_new_pages_when_freed_memory_is_kept() -> None:
    assert faults("kept") < faults("given back") / 10


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from convserve_server import memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False


class Told(Exception):
    """Raised instead of telling the C library, so that nothing else happens."""


def told() -> bool:
    raise Told


def test_a_server_keeps_memory_before_it_does_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "keep_freed_memory", told)
    with pytest.raises(Told):
        single.serve(Settings())


def test_a_worker_keeps_memory_before_it_does_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "keep_freed_memory", told)
    pipe, other = Pipe()
    with pipe, other, pytest.raises(Told):
        process.work(Settings(), 1, pipe, False)


def test_memory_is_given_back_once_when_a_crowd_has_gone() -> None:
    load, given = Load(1 << 30), list[int]()
    rest = Rest(load, lambda: given.append(load.taken_bytes))
    for _ in range(100):
        assert load.take(1_000_000)
    rest.look()
    rest.look()
    assert given == [], "they still wait for their answers"
    load.give_back(100_000_000)
    rest.look()
    rest.look()
    assert given == [100_000_000]


def test_memory_stays_where_it_is_while_somebody_calls_or_little_was_asked() -> None:
    load, given = Load(1 << 30), list[int]()
    rest = Rest(load, lambda: given.append(load.taken_bytes))
    for _ in range(100):
        assert load.take(1_000_000)
        load.give_back(1_000_000)
        rest.look()
    assert given == [], "there was a call between any two looks"
    rest.look()
    assert len(given) == 1
    assert load.take(1000)
    load.give_back(1000)
    for _ in range(3):
        rest.look()
    assert len(given) == 1, "a small request leaves nothing worth a look"
