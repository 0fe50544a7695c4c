"""Regions of POSIX shared memory that callers on this machine have registered.

They are read and written with pread and pwrite, not mapped: a caller that shrinks its memory object while it is in use
would kill a process that has it mapped.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from convserve_server.errors import InvalidRequest, RegionExists, RegionNotFound, TooManyRegions

T = TypeVar("T")

MOST_REGIONS = 256
"""Registered at a time: each holds a descriptor, and connections need those too."""
FOLDER = Path("/dev/shm")
"""Where Linux shows the objects of shm_open."""


@dataclass(frozen=True)
class Region:
    """A registered part of a shared memory object, in bytes."""

    name: str
    key: str
    offset: int
    size: int
    file: int
    """Descriptor of the open object."""


class Regions:
    """Registered regions by name. Safe from any thread: a region that is in use is closed after that."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._regions: dict[str, Region] = {}
        self._lock = threading.Lock()

    def register(self, name: str, key: str, offset: int, size: int) -> None:
        """Register ``size`` bytes from ``offset`` on of the object ``key``.

        Raises RegionExists for a name that is taken, InvalidRequest for an object that is not there or too small,
        TooManyRegions when no more can be registered.
        """
        if not name or not size:
            raise InvalidRequest("a region of shared memory needs a name and a byte_size above 0")
        with self._lock:
            if name in self._regions:
                raise RegionExists(f"shared memory region '{name}' already in manager: unregister it first")
            if len(self._regions) >= MOST_REGIONS:
                raise TooManyRegions(
                    f"{MOST_REGIONS} regions of shared memory are registered already: unregister one first"
                )
            file = self._open(key)
            try:
                self._check_size(name, file, offset + size)
            except InvalidRequest:
                os.close(file)
                raise
            self._regions[name] = Region(name, key, offset, size, file)

    def _open(self, key: str) -> int:
        plain = key.removeprefix("/")
        if not plain or "/" in plain or "\0" in plain or plain in (".", ".."):
            raise InvalidRequest(f"Unable to open shared memory region: '{key}' is no name of shared memory")
        try:
            file = os.open(self._folder / plain, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidRequest(f"Unable to open shared memory region: '{key}': {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise InvalidRequest(f"Unable to open shared memory region: '{key}' is no shared memory")
        return file

    def _check_size(self, name: str, file: int, end: int) -> None:
        size = os.fstat(file).st_size
        if end > size:
            raise InvalidRequest(
                f"failed to register shared memory region '{name}': it would end at byte {end}, "
                f"but the shared memory has {size} bytes"
            )

    def unregister(self, name: str) -> None:
        """Forget a region, or all of them where ``name`` is empty. One that is not there is no error."""
        with self._lock:
            for region in [r for n, r in self._regions.items() if name in ("", n)]:
                del self._regions[region.name]
                os.close(region.file)

    def all(self, name: str = "") -> list[Region]:
        """The regions, or the one of that name; raises RegionNotFound."""
        with self._lock:
            if not name:
                return list(self._regions.values())
            return [self._find(name)]

    def read(self, name: str, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset`` of the region on; raises RegionNotFound, or InvalidRequest out of bounds."""
        content: bytes = self._use(name, offset, size, lambda file, at: os.pread(file, size, at))
        if len(content) != size:
            raise InvalidRequest(f"shared memory region '{name}' has become smaller since it was registered")
        return content

    def check(self, name: str, offset: int, size: int) -> None:
        """Raise RegionNotFound or InvalidRequest where ``size`` bytes from ``offset`` on are not inside of a region."""
        self._use(name, offset, size, lambda file, at: None)

    def write(self, name: str, offset: int, content: bytes) -> None:
        """Put bytes into a region, from ``offset`` on.

        Raises RegionNotFound, or InvalidRequest out of bounds and where there is no memory for them.
        """

        def put(file: int, at: int) -> None:
            # pwrite would make the object larger again.
            self._check_size(name, file, at + len(content))
            _write_all(name, file, content, at)

        self._use(name, offset, len(content), put)

    def _use(self, name: str, offset: int, size: int, use: Callable[[int, int], T]) -> T:
        # Under the lock, so that the descriptor is not closed, and given to another file, in between.
        with self._lock:
            region = self._find(name)
            if offset < 0 or size < 0 or offset + size > region.size:
                raise InvalidRequest(
                    f"Invalid offset + byte size for shared memory region: '{name}' has {region.size} bytes, "
                    f"and {size} from {offset} on were asked for"
                )
            return use(region.file, region.offset + offset)

    def _find(self, name: str) -> Region:
        region = self._regions.get(name)
        if region is None:
            known = ", ".join(f"'{n}'" for n in self._regions) or "none"
            raise RegionNotFound(f"Unable to find shared memory region: '{name}'; registered are: {known}")
        return region


def _write_all(name: str, file: int, content: bytes, at: int) -> None:
    """All or an error: where memory is short, the system writes a part and says so only by the number of bytes."""
    rest = memoryview(content)
    try:
        while rest:
            written = os.pwrite(file, rest, at)
            rest, at = rest[written:], at + written
    except OSError as error:
        raise InvalidRequest(f"shared memory region '{name}' cannot be written: {error.strerror}") from error
