"""One version on disk to a loaded, warmed model with a batcher of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from convserve_server.engine.batcher import Batcher
from convserve_server.engine.cuda import provider_options
from convserve_server.engine.graph import check_config, describe
from convserve_server.engine.instances import make_instances
from convserve_server.engine.model import Array, Description, Reply, Waiter
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.session import CPU, CUDA, Session, choose_provider
from convserve_server.engine.warming import warm_up
from convserve_server.errors import EngineUnavailable, ModelBroken

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """What was read of one version: what it says of itself, and its ONNX model."""

    description: Description | None
    """None where it has no manifest: then its graph is believed."""
    model: bytes | Path


Read = Callable[[Path, str], Artifact]
"""Verifies and reads one version: its folder, and the name of its ONNX file where it has no manifest.

Raises ModelBroken with a sentence.
"""


class LoadedModel:
    """A model that is loaded and warmed, with its batcher."""

    def __init__(self, description: Description, provider: str, batcher: Batcher, settings: ModelSettings) -> None:
        self.description, self.provider, self.batcher, self.settings = description, provider, batcher, settings
        self.queue_policy = settings.queue_policy

    def submit(self, inputs: tuple[Array, ...], waiter: Waiter, reply: Reply) -> None:
        """See Model.submit."""
        self.batcher.submit(inputs, waiter, reply)

    def prioritize(self) -> None:
        """See Model.prioritize."""
        self.batcher.prioritize(self.queue_policy.default_priority)

    def lead(self, batches: int | None = None) -> bool:
        """See Batcher.lead."""
        return self.batcher.lead(batches)


class Loader:
    """Loads versions on one execution provider."""

    def __init__(self, read: Read, provider: str = "auto") -> None:
        self._read, self._wanted = read, provider
        self._provider = ""

    def choose_provider(self) -> None:
        """Decide on the provider, once. Raises EngineUnavailable when the wanted one does not work."""
        self._provider, reason = choose_provider(self._wanted)
        log.info("execution provider: %s (%s)", self._provider, reason)

    def load(self, folder: Path, name: str, settings: ModelSettings) -> LoadedModel:
        """Load the version in ``folder`` (.../VERSION) of the model ``name``.

        Raises ModelBroken with a sentence when it cannot be trusted, loaded or run; EngineUnavailable when the wanted
        provider does not run it.
        """
        artifact = self._read(folder, settings.file)
        told = artifact.description
        if told is not None and (told.name, str(told.version)) != (name, folder.name):
            raise ModelBroken(f"its manifest says {told.name}/{told.version}, but it lies in {name}/{folder.name}")
        session = self._session(artifact, folder, settings)
        description = told or describe(name, int(folder.name), session, settings.batched)
        check_config(settings, description)
        labels = {description.outputs[0].name: description.labels} if description.labels else {}
        description = replace(description, output_labels={**labels, **settings.labels})
        warm = partial(warm_up, description=description, wanted=settings.warm_ups, must_run=told is not None)
        instances = make_instances(session, partial(self._open, artifact, settings), description, settings, warm)
        batcher = Batcher(instances, settings.limits, batched=description.batched)
        return LoadedModel(description, session.provider, batcher, settings)

    def _session(self, artifact: Artifact, folder: Path, settings: ModelSettings) -> Session:
        try:
            return self._open(artifact, settings)
        except EngineUnavailable:
            if self._wanted != "auto":
                raise
            log.exception("CUDA does not work for %s; the CPU takes over", folder)
            self._provider = CPU
            return self._open(artifact, settings)

    def _open(self, artifact: Artifact, settings: ModelSettings, graphs: bool = False) -> Session:
        engine = settings.engine
        options = provider_options(engine.cuda, graphs=graphs) if self._provider == CUDA else None
        return Session(artifact.model, artifact.description, self._provider, engine.threads, options)
