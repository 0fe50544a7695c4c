"""Which versions of a model are served: the newest few, all, or named ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from convserve_server.errors import InvalidRequest

MOST_DIGITS = 18
"""Of a version: a config holds it in 64 bits."""


@dataclass(frozen=True)
class VersionPolicy:
    """The newest ``latest`` good versions; all of them where it is None; or exactly the ``specific`` ones."""

    latest: int | None = 1
    specific: tuple[int, ...] = ()

    def candidates(self, found: Iterable[int]) -> list[int]:
        """The versions to try, in the order to try them in: until ``enough`` are good."""
        newest_first = sorted(found, reverse=True)
        return [v for v in newest_first if v in self.specific] if self.specific else newest_first

    def enough(self, good: int) -> bool:
        """True when so many good versions are all that are wanted."""
        return not self.specific and self.latest is not None and good >= self.latest


def version_folders(model: Path) -> dict[int, Path]:
    """The folders of a model that are versions of it: whole numbers above 0, written without leading zeros."""
    if not model.is_dir():
        return {}
    return {int(p.name): p for p in model.iterdir() if _is_version(p.name) and p.is_dir()}


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal() and not text.startswith("0") and len(text) <= MOST_DIGITS


def parse_version(text: str) -> int:
    """The version that a caller names; raises InvalidRequest when it is no whole number above 0."""
    if not _is_version(text):
        raise InvalidRequest(
            f"failed to get model version from specified version string '{text}': "
            "it is not a whole number above 0; leave it empty for the newest"
        )
    return int(text)


Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, size, time of change and inode of each file: differs when a file was changed or replaced."""


def fingerprint(folder: Path) -> Fingerprint:
    """What a folder's files look like from outside, without reading them."""
    files = []
    for path in sorted(folder.rglob("*")):
        try:
            stat = path.stat()
        except OSError:
            # Deleted in between, or a dangling link: the next look sees another folder.
            continue
        files.append((str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(files)
