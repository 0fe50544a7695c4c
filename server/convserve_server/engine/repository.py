"""The model repository: versions on disk become loaded, warmed models; what is broken is refused with a reason."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.model import Array, Description, Model, Reply, TensorSpec, Waiter
from convserve_server.engine.session import NUMPY_TYPES, EngineSettings, Session, SessionInstance, choose_provider
from convserve_server.errors import EngineUnavailable, InvalidRequest, ModelBroken, ModelNotFound, ModelNotReady

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """A verified artifact: what it says of itself, and the bytes of its ONNX model."""

    description: Description
    model: bytes


@dataclass(frozen=True)
class Refusal:
    """An artifact that is not served, and why."""

    path: Path
    reason: str


class LoadedModel:
    """A model that is loaded and warmed, with its batcher."""

    def __init__(self, description: Description, provider: str, batcher: Batcher) -> None:
        self.description, self.provider, self.batcher = description, provider, batcher

    def submit(self, inputs: tuple[Array, ...], waiter: Waiter, reply: Reply) -> None:
        """See Model.submit."""
        self.batcher.submit(inputs, waiter, reply)

    def lead(self, batches: int | None = None) -> bool:
        """See Batcher.lead."""
        return self.batcher.lead(batches)


class Repository:
    """The newest good version of every model of a folder that is laid out as NAME/VERSION/.

    ``read`` verifies and reads one version's folder; it raises ModelBroken with a sentence.
    """

    def __init__(self, folder: Path, read: Callable[[Path], Artifact], engine: EngineSettings, limits: Limits) -> None:
        self.folder = folder
        self.refusals: list[Refusal] = []
        self._read, self._engine, self._limits = read, engine, limits
        self._models: dict[str, dict[int, LoadedModel]] = {}
        self._provider = ""
        self._loaded = False

    def load(self) -> None:
        """Load what is there. Refused artifacts are logged and listed in ``refusals``; the others are served.

        Raises EngineUnavailable when the wanted provider does not work.
        """
        self._provider, reason = choose_provider(self._engine.provider)
        log.info("execution provider: %s (%s)", self._provider, reason)
        if not self.folder.is_dir():
            log.error("there is no model repository at %s", self.folder)
        else:
            for path in sorted(p for p in self.folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
                self._load_newest(path)
        self._loaded = True

    def _load_newest(self, path: Path) -> None:
        versions = sorted((p for p in path.iterdir() if p.name.isdecimal() and p.is_dir()), key=lambda p: -int(p.name))
        for version in versions:
            try:
                model = self._open(version)
            except ModelBroken as error:
                self.refusals.append(Refusal(version, str(error)))
                log.error("refused %s: %s", version, error)
                continue
            self._models.setdefault(path.name, {})[model.description.version] = model
            log.info("serving %s version %s on %s", path.name, version.name, model.provider)
            return

    def _open(self, path: Path) -> LoadedModel:
        artifact = self._read(path)
        description = artifact.description
        if (description.name, str(description.version)) != (path.parent.name, path.name):
            raise ModelBroken(
                f"its manifest says {description.name}/{description.version}, "
                f"but it lies in {path.parent.name}/{path.name}"
            )
        try:
            session = Session(artifact.model, description, self._provider, self._engine.threads)
        except EngineUnavailable:
            if self._engine.provider != "auto":
                raise
            log.exception("CUDA does not work for %s; the CPU takes over", path)
            self._provider = "CPUExecutionProvider"
            session = Session(artifact.model, description, self._provider, self._engine.threads)
        instances = [
            SessionInstance(session, description, self._limits.max_batch_size) for _ in range(self._engine.instances)
        ]
        warm_up(session, description)
        batcher = Batcher(instances, self._limits, batched=description.batched)
        return LoadedModel(description, session.provider, batcher)

    def find(self, name: str, version: str = "") -> Model:
        """See Models.find."""
        versions = self._models.get(name)
        if versions is None:
            if not self._loaded:
                raise ModelNotReady("the server is still loading its models; try again in a moment")
            served = ", ".join(sorted(self._models)) or "none"
            raise ModelNotFound(f"Request for unknown model: '{name}' is not found; served are: {served}")
        if not version:
            return versions[max(versions)]
        if not version.isdecimal() or int(version) < 1:
            raise InvalidRequest(
                f"model version '{version}' is not a whole number above 0; leave it empty for the newest"
            )
        if int(version) not in versions:
            have = ", ".join(str(v) for v in sorted(versions))
            raise ModelNotFound(
                f"Request for unknown model: '{name}' version {version} is not found; served are: {have}"
            )
        return versions[int(version)]

    def versions(self, name: str) -> list[int]:
        """Served versions of a model, ascending; raises ModelNotFound."""
        self.find(name)
        return sorted(self._models[name])

    def names(self) -> list[str]:
        """Names of the served models, sorted."""
        return sorted(self._models)

    def with_task(self, task: str) -> list[str]:
        """Names of the served models that are for this task, sorted."""
        return [n for n in self.names() if self.find(n).description.task == task]

    def models(self) -> list[LoadedModel]:
        """Every served model."""
        return [m for versions in self._models.values() for m in versions.values()]


def warm_up(session: Session, description: Description) -> None:
    """Run a model once on zeros, so that the first caller does not pay for lazy set-up and a broken one shows now.

    Raises ModelBroken when the run fails.
    """
    inputs = tuple(
        np.zeros(_small_shape(i), NUMPY_TYPES[i.datatype]) for i in description.inputs if i.datatype in NUMPY_TYPES
    )
    if len(inputs) != len(description.inputs):
        return
    try:
        session.run(inputs)
    except Exception as error:
        raise ModelBroken(f"its first run failed: {error}") from error


def _small_shape(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(1 if d == -1 else d for d in spec.shape)
