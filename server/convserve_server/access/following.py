"""Files that are followed: what they say is read anew when they have changed, and kept where they cannot be used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from convserve_server.errors import InvalidSettings

log = logging.getLogger(__name__)

T = TypeVar("T")
_Stamp = tuple[tuple[int, ...] | None, ...]


class Followed(Generic[T]):
    """What ``read`` makes of some files, as they are now or were when they could last be used.

    refresh() is called again and again, by one thread. A change is acted on when two calls in a row have seen the same,
    and nothing changed while it was read: so nobody's half-written file is used, nor the new half of a pair.
    Raises InvalidSettings, as ``read`` does, where the files cannot be used at first.
    """

    def __init__(self, what: str, paths: Sequence[Path], read: Callable[[], T]) -> None:
        self._what, self._paths, self._read = what, paths, read
        self._used = self._coming = self._stamp()
        self.value = read()

    def refresh(self) -> None:
        """Look whether the files have changed. What cannot be used is logged, once, and changes nothing."""
        stamp = self._stamp()
        if stamp == self._used:
            self._coming = stamp
            return
        if stamp != self._coming:
            self._coming = stamp
            return
        try:
            value = self._read()
        except InvalidSettings as error:
            if self._stamp() == stamp:
                self._used = stamp
                log.error("%s changed and cannot be used: %s. The ones from before stay in force", self._what, error)
            return
        if self._stamp() == stamp:
            self._used, self.value = stamp, value
            log.info("%s changed: the new ones are in force", self._what)

    def _stamp(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
