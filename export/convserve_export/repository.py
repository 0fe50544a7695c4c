"""Publishing artifacts to OUT/MODEL/VERSION/, all of one or nothing: written aside, checked, then renamed into place.

A rename within one file system is atomic, so a reader sees a version complete or not at all, whenever this process or
the machine stops. What a stopped export leaves is a hidden folder in OUT, which no reader takes for a model; it is held
under a lock while its owner lives, and the next export removes it once the owner is gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from convserve_export.errors import BadInput

STAGING_PREFIX = ".staging-"
MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
HIGHEST_VERSION = 2**31 - 1


class Repository:
    """A folder of artifacts. Several processes may publish into it at once."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder where there is none; raises BadInput where that is not possible."""
        self.folder = folder
        with naming(folder, "cannot be used for artifacts"):
            folder.mkdir(parents=True, exist_ok=True)

    def versions(self, model: str) -> list[int]:
        """Numbers that are taken, ascending; published or not, whatever has such a name is in the way."""
        folder = self.folder / model
        with naming(folder, "cannot be read"):
            names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        return sorted(int(n) for n in names if n.isascii() and n.isdecimal())

    def next_version(self, model: str) -> int:
        """One above the highest that is taken; another export may take it at any moment."""
        number = max(self.versions(model), default=0) + 1
        if number > HIGHEST_VERSION:
            raise BadInput(
                f"{self.folder / model} has no free version: {number - 1} is taken; give one by --model-version"
            )
        return number

    def path(self, model: str, version: int) -> Path:
        """Where a version lies, or would lie."""
        return self.folder / model / str(version)

    def require_name(self, model: str) -> None:
        """Raises BadInput for a model name that is no good folder name."""
        if not MODEL_NAME.fullmatch(model):
            raise BadInput(
                f"'{model}' cannot name a model; use up to 100 letters, digits and any of '_', '-', '.', "
                "of which only '_' may come first"
            )

    def require_free(self, model: str, version: int | None) -> None:
        """Raises BadInput for a bad name, and for a version that is there already; None is always free."""
        self.require_name(model)
        if version is None:
            return
        if not 1 <= version <= HIGHEST_VERSION:
            raise BadInput(f"version {version} is not a whole number from 1 to {HIGHEST_VERSION}")
        if version in self.versions(model):
            raise BadInput(
                f"{self.path(model, version)} is there already and is never overwritten; "
                "leave --model-version out for the next free one"
            )

    def require_writable(self) -> None:
        """Raises BadInput where nothing can be written, before any work is done in vain."""
        with self.staging() as staging:
            staging.write("probe", b"")

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """A place to write an artifact to; whatever was not published from it is removed in the end."""
        self._remove_leftovers()
        with naming(self.folder, "cannot be written to"):
            folder, lock = _make_staging(self.folder)
        try:
            yield Staging(self, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def _remove_leftovers(self) -> None:
        for folder in self.folder.glob(f"{STAGING_PREFIX}*"):
            # Not ours to remove, or gone meanwhile: it harms nobody where it is.
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder)
                finally:
                    os.close(descriptor)


class Staging:
    """An artifact that nobody sees yet."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        self._written: dict[str, bytes] = {}

    def write(self, name: str, data: bytes) -> Path:
        """Write a file and have it on the disk; raises BadInput where the disk is full or gone."""
        path = self.folder / name
        with naming(path, "cannot be written"), path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._written[name] = data
        return path

    def keep(self, files: Mapping[str, bytes]) -> None:
        """Have these files and no others: writes what is missing, removes what turned out not to be published."""
        for name in [n for n in self._written if n not in files]:
            (self.folder / name).unlink()
            del self._written[name]
        for name, data in files.items():
            if self._written.get(name) != data:
                self.write(name, data)

    def publish(self, model: str, version: int | None, rest: Callable[[int], Mapping[str, bytes]]) -> Path:
        """Put the artifact in place as ``version``, or as the next free one, and return where it is.

        ``rest`` gives the files whose content depends on the version. Raises BadInput where the version is taken, or
        where the disk gives back something else than was written.
        """
        target = self.repository.folder / model
        with naming(target, "cannot be written to"):
            target.mkdir(exist_ok=True)
            _sync(self.repository.folder)
        while True:
            self.repository.require_free(model, version)
            number = version or self.repository.next_version(model)
            for name, content in rest(number).items():
                self.write(name, content)
            self._read_back()
            place = self.repository.path(model, number)
            if self._rename(place):
                return place

    def _read_back(self) -> None:
        for name, data in self._written.items():
            path = self.folder / name
            with naming(path, "cannot be read back"):
                if path.read_bytes() != data:
                    raise BadInput(f"{path} does not hold what was written to it; is the disk sound?")
        with naming(self.folder, "cannot be written"):
            _sync(self.folder)

    def _rename(self, place: Path) -> bool:
        """False where another export took the version first. Renaming cannot replace a folder that holds something."""
        with naming(place, "cannot be published"):
            try:
                self.folder.rename(place)
            except OSError as error:
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    return False
                raise
        # It is published now. A disk that does not confirm it can lose it with the power, but never a part of it.
        with suppress(OSError):
            _sync(place.parent)
        return True


@contextmanager
def naming(path: Path, problem: str) -> Iterator[None]:
    """Turn an OSError into BadInput that says what was wrong with which path."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path} {problem}: {error.strerror or error}") from error


def _make_staging(parent: Path) -> tuple[Path, int]:
    """A new locked folder and the descriptor that holds its lock."""
    while True:
        # Not by tempfile, whose folders are closed to other users, such as the one a server runs as.
        folder = parent / f"{STAGING_PREFIX}{uuid.uuid4().hex}"
        folder.mkdir()
        # Until it is locked, another export may take it for a leftover and remove it: then, make another.
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            if _lock(descriptor) and folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """False where another process holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: there, leftovers of others are not removed either
    return True


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
