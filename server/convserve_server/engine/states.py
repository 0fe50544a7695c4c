"""What is known of every version of every model: whether it is served, and why not."""

from __future__ import annotations

import enum
import threading
import weakref
from collections.abc import Collection
from dataclasses import dataclass


class State(enum.Enum):
    """States of a version, by their names in the protocol."""

    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    """No longer found; calls that it has taken are being finished."""
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True)
class VersionStatus:
    """What is known of one version."""

    name: str
    version: int | None
    """None stands for the model as a whole: it was never loaded, or its config cannot be read."""
    state: State
    reason: str = ""


class States:
    """The state of every version that was ever to be served and is still on disk or in use. Safe from any thread."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, int | None], tuple[State, str]] = {}
        self._leaving: dict[tuple[str, int | None], weakref.ref[object]] = {}
        self._lock = threading.Lock()

    def set(self, name: str, version: int | None, state: State, reason: str = "") -> None:
        """Note a state."""
        with self._lock:
            self._states[name, version] = (state, reason)
            self._leaving.pop((name, version), None)

    def leave(self, name: str, version: int, model: object, reason: str = "unloaded") -> None:
        """Note that a version is no longer found: UNLOADING for as long as somebody holds it, then UNAVAILABLE."""
        with self._lock:
            self._states[name, version] = (State.UNAVAILABLE, reason)
            self._leaving[name, version] = weakref.ref(model)

    def forget(self, name: str, keep: Collection[int | None]) -> None:
        """Forget versions that are neither to be kept nor in use."""
        with self._lock:
            for key in [k for k in self._states if k[0] == name and k[1] not in keep]:
                if not self._in_use(key):
                    del self._states[key]
                    self._leaving.pop(key, None)

    def of(self, name: str) -> list[VersionStatus]:
        """The states of one model's versions, ascending."""
        return [s for s in self.all() if s.name == name]

    def all(self) -> list[VersionStatus]:
        """Every state, by name and version."""
        with self._lock:
            states = [
                VersionStatus(*key, *((State.UNLOADING, "") if self._in_use(key) else value))
                for key, value in self._states.items()
            ]
        return sorted(states, key=lambda s: (s.name, s.version or 0))

    def _in_use(self, key: tuple[str, int | None]) -> bool:
        reference = self._leaving.get(key)
        return reference is not None and reference() is not None
