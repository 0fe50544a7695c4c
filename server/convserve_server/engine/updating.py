"""Brings what is served of one model in line with its folder: what is new or has changed is loaded beside the old."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convserve_server.engine.loading import LoadedModel, Loader
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.served import ServedModels
from convserve_server.engine.states import State, States
from convserve_server.engine.telling import for_callers
from convserve_server.engine.versions import Fingerprint, fingerprint, version_folders
from convserve_server.errors import EngineUnavailable, ModelBroken, sendable

log = logging.getLogger(__name__)

ReadSettings = Callable[[Path, str | None], ModelSettings]
"""The settings for the model in a folder, by its config or by the one given. Raises ModelBroken with a sentence."""

_Mark = tuple[Fingerprint, ModelSettings]
"""What a version was loaded from, or failed to: as long as it is the same, there is nothing to do."""


@dataclass(frozen=True)
class Refusal:
    """An artifact that is not served, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """One model to be brought in line."""

    name: str
    folder: Path
    config: str | None = None
    """In place of its own."""
    retry: bool = False
    """Try what has failed before again, even if it has not changed."""
    strict: bool = False
    """Raise EngineUnavailable instead of refusing the version."""


class Updater:
    """Carries out orders, one at a time (the caller sees to that)."""

    def __init__(self, loader: Loader, settings: ReadSettings, served: ServedModels, states: States) -> None:
        self._loader, self._settings, self._served, self._states = loader, settings, served, states
        self.loads = 0
        """How many versions were loaded, or tried to be."""
        self._marks: dict[tuple[str, int], _Mark] = {}
        self._refusals: dict[tuple[str, int | None], tuple[_Mark | None, Refusal]] = {}

    @property
    def refusals(self) -> list[Refusal]:
        """What is not served, and why."""
        return [refusal for _, refusal in self._refusals.values()]

    def update(self, order: Order) -> list[str]:
        """Serve the wanted versions. Gives the reasons for what could not be loaded; what serves in its place stays.

        Raises EngineUnavailable where the order is strict and the wanted provider does not run a version.
        """
        name = order.name
        found = version_folders(order.folder)
        if not found:
            self._served.switch(name, {})
            self._forget(name, set())
            return ["there is no version of it in the repository"]
        try:
            settings = self._settings(order.folder, order.config)
        except ModelBroken as error:
            return [self._refuse(name, None, order.folder, None, str(error))]
        good: dict[int, LoadedModel] = {}
        failures: list[str] = []
        for version in settings.versions.candidates(found):
            if settings.versions.enough(len(good)):
                break
            model, failure = self._version(order, version, found[version], settings)
            if model is not None:
                good[version] = model
            if failure:
                failures.append(f"version {version}: {failure}")
        missing = set(settings.versions.specific) - set(found)
        failures += [f"version {v} is asked for by its config, and is not there" for v in sorted(missing)]
        # With nothing good in place of something that serves, that goes on, even if its files are gone.
        if good or not failures:
            self._served.switch(name, good)
        self._forget(name, {*found, *self._served.of(name)})
        return failures

    def _version(
        self, order: Order, version: int, folder: Path, settings: ModelSettings
    ) -> tuple[LoadedModel | None, str]:
        """The model to serve for a version: what serves already, a new one, or none; and why a new one failed."""
        key = (order.name, version)
        serving = self._served.of(order.name).get(version)
        mark = (fingerprint(folder), settings)
        refused = self._refusals.get(key)
        if serving is not None and self._marks.get(key) == mark:
            if refused is not None:
                # What was refused in its place is gone again.
                del self._refusals[key]
                self._states.set(*key, State.READY)
            return serving, ""
        if refused is not None and refused[0] == mark and not order.retry:
            return serving, ""
        if serving is None:
            self._states.set(*key, State.LOADING)
        self.loads += 1
        try:
            model = self._loader.load(folder, order.name, settings)
        except (ModelBroken, EngineUnavailable, MemoryError) as error:
            if order.strict and isinstance(error, EngineUnavailable):
                raise
            reason = f"there is not enough memory for it: {error}" if isinstance(error, MemoryError) else str(error)
            return serving, self._refuse(*key, folder, mark, reason, serving=serving is not None)
        self._marks[key] = mark
        self._refusals.pop(key, None)
        self._refusals.pop((order.name, None), None)
        return model, ""

    def _refuse(
        self, name: str, version: int | None, folder: Path, mark: _Mark | None, reason: str, *, serving: bool = False
    ) -> str:
        """Note why something is not served. Gives the reason as callers may hear it."""
        reason = sendable(reason)
        told = for_callers(reason, folder)
        known = self._refusals.get((name, version))
        if known is None or known[1].reason != reason:
            log.error("refused %s: %s", folder, reason)
        self._refusals[name, version] = (mark, Refusal(folder, reason))
        if serving:
            self._states.set(name, version, State.READY, f"what is on disk now was refused: {told}")
        else:
            self._states.set(name, version, State.UNAVAILABLE, told)
        return told

    def _forget(self, name: str, keep: set[int]) -> None:
        """Forget what was known of versions that are no longer there."""
        for key in [k for k in self._refusals if k[0] == name and k[1] not in keep]:
            del self._refusals[key]
        for gone in [k for k in self._marks if k[0] == name and k[1] not in keep]:
            del self._marks[gone]
        self._states.forget(name, keep)
