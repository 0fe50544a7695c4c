"""The model repository: a folder of models, what is served of it, and how that changes while calls are in flight.

A change is prepared beside what is served (read, verified, loaded, warmed) and then takes its place at once. Calls in
flight finish on the version that took them, and it goes when the last one has.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from convserve_server.engine.file_names import is_file_name
from convserve_server.engine.loading import Loader
from convserve_server.engine.served import ServedModels
from convserve_server.engine.states import State, States, VersionStatus
from convserve_server.engine.updating import Order, ReadSettings, Refusal, Updater
from convserve_server.engine.uploads import uploaded
from convserve_server.errors import InvalidRequest, LoadFailed, ModelBroken, NotAllowed

log = logging.getLogger(__name__)


class Repository(ServedModels):
    """The models of a folder that is laid out as NAME/VERSION/. Found without a lock, changed one at a time."""

    def __init__(self, folder: Path, loader: Loader, settings: ReadSettings, *, allow_uploads: bool = False) -> None:
        self._states = States()
        super().__init__(self._states)
        self.on_loaded: Callable[[], None] = lambda: None
        """Called after versions were loaded, or tried to be, by the thread that did."""
        self.folder = folder
        self._loader, self._allow_uploads = loader, allow_uploads
        self._updater = Updater(loader, settings, self, self._states)
        self._changing = threading.Lock()
        self._unnamed: set[str] = set()

    @property
    def refusals(self) -> list[Refusal]:
        """What is not served, and why."""
        return self._updater.refusals

    def known(self) -> set[str]:
        """Names of the models that were ever to be served, and are still there."""
        return {status.name for status in self._states.all()}

    def knows(self, name: str, version: str = "") -> bool:
        """True when a version was to be served, even if it is not served now."""
        return any(not version or str(s.version) == version for s in self._states.of(name))

    def index(self) -> list[VersionStatus]:
        """Every version that is known, and every model in the folder of which none is."""
        states = [self._as_it_is(status) for status in self._states.all()]
        known = {s.name for s in states}
        rest = [VersionStatus(n, None, State.UNAVAILABLE, "not loaded") for n in self._present() if n not in known]
        return sorted(states + rest, key=lambda s: (s.name, s.version or 0))

    def _as_it_is(self, status: VersionStatus) -> VersionStatus:
        reason = self.failing(status.name, str(status.version)) if status.state is State.READY else ""
        return replace(status, state=State.UNAVAILABLE, reason=reason) if reason else status

    def load(self, names: Iterable[str] | None = None) -> None:
        """Load these models, or all that are there. Refused artifacts are logged; the others are served.

        Raises EngineUnavailable when the wanted provider does not work, ModelBroken when the folder cannot be read.
        """
        self._loader.choose_provider()
        if not self.folder.is_dir():
            log.error("there is no model repository at %s", self.folder)
        with self._change():
            for name in self._present() if names is None else names:
                self._updater.update(Order(name=name, folder=self.folder / name, strict=True))
        self.loaded = True

    def refresh(self) -> None:
        """Bring what is served in line with the folder: new and changed versions are loaded, deleted ones let go."""
        if not self.folder.is_dir():
            # A volume that is away for a moment is no reason to stop.
            log.error("the model repository at %s is gone; what is served stays", self.folder)
            return
        with self._change():
            for name in sorted({*self._present(), *self.names()}):
                self._updater.update(Order(name=name, folder=self.folder / name))

    def load_model(self, name: str, config: str | None = None, files: Mapping[str, bytes] | None = None) -> None:
        """Load a model, or what has changed of it.

        ``config`` (JSON) takes the place of its own; ``files`` (VERSION/FILE to content) that of its folder.

        Raises InvalidRequest for what cannot be a model's name or files, NotAllowed for files where only the folder is
        trusted, LoadFailed with the reasons when a version that is wanted could not be loaded; what was served before
        then still is.
        """
        if not is_file_name(name) or name.startswith("."):
            raise InvalidRequest(f"'{name}' cannot be the name of a model")
        if files and not self._allow_uploads:
            # Whoever makes the files makes their manifest too, so it vouches for nothing.
            raise NotAllowed(f"files of model '{name}' come from a caller: start the server with --allow-unverified")
        if files and config is None:
            raise InvalidRequest(f"files of model '{name}' come without a config; send the parameter config with them")
        with self._change():
            if files:
                with uploaded(name, files) as folder:
                    failures = self._updater.update(Order(name=name, folder=folder, config=config, retry=True))
            else:
                folder = self.folder / name
                failures = self._updater.update(Order(name=name, folder=folder, config=config, retry=True))
            served = ", ".join(str(v) for v in self.of(name)) or "none"
        if failures:
            raise LoadFailed(f"failed to load '{name}': {'; '.join(failures)}; versions that are served: {served}")

    def unload_model(self, name: str) -> None:
        """Stop to serve a model; calls that it has taken are finished. Raises InvalidRequest when it is not served."""
        with self._change():
            if not self.of(name):
                raise InvalidRequest(f"failed to unload '{name}': it is not served")
            self.switch(name, {})

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One change at a time."""
        with self._changing:
            before = self._updater.loads
            try:
                yield
            finally:
                if self._updater.loads != before:
                    self.on_loaded()

    def _present(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        try:
            found = {p.name for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith(".")}
        except OSError as error:
            raise ModelBroken(
                f"the model repository at {self.folder} cannot be read: {error.strerror}; "
                "let the user that the server runs as read it"
            ) from error
        named = {name for name in found if is_file_name(name)}
        for name in found - named - self._unnamed:
            # No caller could ask for it, and no reply could name it.
            log.error("refused %s: its name is not UTF-8", ascii(name))
        self._unnamed = found - named
        return sorted(named)
