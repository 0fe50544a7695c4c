"""The hashed locks in requirements/: which there are, and what is in them.

One lock for the client, one for each extra, and one for what builds our wheel. Each is closed: it names all that its
install needs, so that `pip install --require-hashes -r` takes one, or several that agree. Only the standard library is
used, because images are built with this.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
CLIENT, BUILD = "client", "build"

# What we publish, by the locks that make it. The images are in the Dockerfile, the others in the README.
INSTALLS = {
    "client": (CLIENT,),
    "server": ("server",),
    "server-cpu": ("server-cpu",),
    "server-cuda": ("server", "cuda"),
    "export": ("export", "server-cpu"),
    "image-client": (CLIENT,),
    "image-server": ("server-cpu", "metrics"),
    "image-server-gpu": ("server", "cuda", "metrics"),
    "image-export": ("export", "server-cpu", "metrics"),
}

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.*))?$")
_HASH = re.compile(r"\s*--hash=(sha256:[0-9a-f]{64})")


class BadLock(Exception):
    """A lock has a line that a lock must not have; the message quotes it."""


@dataclass(frozen=True)
class Pin:
    """One distribution at one version, where it is wanted, and the files that may be taken for it."""

    name: str
    version: str
    marker: str
    """An environment marker; empty means everywhere."""
    hashes: tuple[str, ...]
    """`sha256:` and 64 digits, sorted."""

    def __str__(self) -> str:
        condition = f" ; {self.marker}" if self.marker else ""
        return " \\\n".join(
            [f"{self.name}=={self.version}{condition}", *(f"    --hash={each}" for each in self.hashes)]
        )


def normal(name: str) -> str:
    """A distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(pyproject: str) -> list[str]:
    """The lock of the client, of the build, and of every extra that the project declares."""
    return [CLIENT, BUILD, *tomllib.loads(pyproject)["project"]["optional-dependencies"]]


def path(name: str) -> Path:
    """Where a lock is kept."""
    return FOLDER / f"{name}.txt"


def parse(text: str) -> list[Pin]:
    """The pins of a lock. Raises BadLock for anything but pins with hashes, comments and `--only-binary`."""
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith(("#", "--only-binary ")):
            continue
        match = _PIN.match(_HASH.sub("", line).strip())
        hashes = _HASH.findall(line)
        if not match or not hashes:
            raise BadLock(f"not a pinned and hashed requirement: {line.strip()[:120]}")
        pins.append(
            Pin(normal(match["name"]), match["version"], (match["marker"] or "").strip(), tuple(sorted(hashes)))
        )
    return pins


def read(name: str) -> list[Pin]:
    """The pins of the lock of that name. Raises OSError where there is none, and BadLock."""
    return parse(path(name).read_text(encoding="utf-8"))


def merged(locks: Iterable[Iterable[Pin]]) -> list[Pin]:
    """Each pin once, by name; where only some locks want it everywhere, it is wanted everywhere."""
    found: dict[tuple[str, str], Pin] = {}
    for pin in (pin for lock in locks for pin in lock):
        known = found.setdefault((pin.name, pin.version), pin)
        if known.marker != pin.marker:
            marker = f"({known.marker}) or ({pin.marker})" if known.marker and pin.marker else ""
            found[pin.name, pin.version] = replace(known, marker=marker)
    return [found[key] for key in sorted(found)]


def constraints() -> dict[str, str]:
    """Name and version of every line of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {normal(name): version for name, _, version in pairs}
