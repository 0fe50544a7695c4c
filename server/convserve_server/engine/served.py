"""The models that are served now. Finding one takes no lock: a change replaces the table as a whole."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from convserve_server.engine.loading import LoadedModel
from convserve_server.engine.model import Model
from convserve_server.engine.states import State, States
from convserve_server.engine.versions import parse_version
from convserve_server.errors import ModelNotFound, ModelNotReady, ServerError

log = logging.getLogger(__name__)


class _Versions:
    """The served versions of one model; never changed, only replaced."""

    def __init__(self, models: Mapping[int, LoadedModel]) -> None:
        self.models = dict(sorted(models.items()))
        self.by_text = {str(version): model for version, model in self.models.items()}
        self.newest = self.models[max(self.models)]


class ServedModels:
    """Models by name and version. Whoever has found one keeps it: a change never takes it out of their hands."""

    def __init__(self, states: States) -> None:
        self.on_change: Callable[[], None] = lambda: None
        """Called after what is served has changed, or whether it works; from any thread."""
        self.loaded = False
        """True once everything that is to be served from the start has been tried."""
        self._states = states
        self._table: dict[str, _Versions] = {}

    def find(self, name: str, version: str = "") -> Model:
        """See Models.find."""
        served = self._table.get(name)
        if served is not None:
            if not version:
                return served.newest
            model = served.by_text.get(version)
            if model is not None:
                return model
        raise self._missing(name, version)

    def _missing(self, name: str, version: str) -> ServerError:
        number = parse_version(version) if version else None
        if not self.loaded:
            return ModelNotReady("the server is still loading its models; try again in a moment")
        known = [s for s in self._states.of(name) if number is None or s.version == number]
        if any(s.state in (State.LOADING, State.UNLOADING) for s in known):
            return ModelNotReady(f"Request for unknown model: '{name}' is not at ready state; try again in a moment")
        if name in self._table:
            have = ", ".join(str(v) for v in self.versions(name))
            return ModelNotFound(
                f"Request for unknown model: '{name}' version {version} is not found; served are: {have}"
            )
        if known:
            why = "; ".join(s.reason for s in known if s.reason)
            return ModelNotFound(f"Request for unknown model: '{name}' has no available versions: {why}")
        served = ", ".join(self.names()) or "none"
        return ModelNotFound(f"Request for unknown model: '{name}' is not found; served are: {served}")

    def failing(self, name: str, version: str = "") -> str:
        """Why a served version cannot be relied on now, the newest by default; empty where it can, or is not served."""
        served = self._table.get(name)
        model = None if served is None else served.by_text.get(version, None if version else served.newest)
        return "" if model is None else model.vitals.failing

    def working(self) -> list[str]:
        """Names of the served models whose newest version can be relied on, sorted."""
        return [name for name in self.names() if not self.failing(name)]

    def versions(self, name: str) -> list[int]:
        """Served versions of a model, ascending; raises ModelNotFound."""
        served = self._table.get(name)
        if served is None:
            raise self._missing(name, "")
        return list(served.models)

    def names(self) -> list[str]:
        """Names of the served models, sorted."""
        return sorted(self._table)

    def with_task(self, task: str) -> list[str]:
        """Names of the served models that are for this task, sorted."""
        return sorted(n for n, served in self._table.items() if served.newest.description.task == task)

    def models(self) -> list[LoadedModel]:
        """Every served model, by name and version."""
        return [m for _, served in sorted(self._table.items()) for m in served.models.values()]

    def of(self, name: str) -> dict[int, LoadedModel]:
        """The served versions of a model; empty where there are none."""
        served = self._table.get(name)
        return {} if served is None else dict(served.models)

    def switch(self, name: str, models: Mapping[int, LoadedModel]) -> None:
        """Serve these versions of a model from now on, and no others. Called by one thread at a time."""
        old = self.of(name)
        if dict(models) == old:
            return
        table = {n: v for n, v in self._table.items() if n != name}
        if models:
            table[name] = _Versions(models)
        # One assignment: whoever finds sees all of the old or all of the new.
        self._table = table
        for version, model in models.items():
            if old.get(version) is not model:
                self._states.set(name, version, State.READY)
                model.vitals.on_change = self._vitals_changed
                log.info("serving %s version %d on %s", name, version, model.provider)
        for version, model in old.items():
            if version not in models:
                self._states.leave(name, version, model)
                model.vitals.close()
                log.info("no longer serving %s version %d", name, version)
        self.on_change()

    def _vitals_changed(self) -> None:
        self.on_change()
