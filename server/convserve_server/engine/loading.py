"""One version on disk to a loaded, warmed model with a batcher of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from convserve_server.engine.batcher import Batcher, Instance
from convserve_server.engine.cuda import provider_options
from convserve_server.engine.entrances import TwoEntrances
from convserve_server.engine.graph import check_config, describe
from convserve_server.engine.instances import make_instances
from convserve_server.engine.model import Array, Description, Reply, Submitter
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.precision import CUDA_HARDWARE, Variant, choose
from convserve_server.engine.row_probe import rows_are_independent
from convserve_server.engine.session import CPU, CUDA, Session, choose_provider
from convserve_server.engine.vitals import Vitals
from convserve_server.engine.warming import known_input, warm_up, warm_ups_for
from convserve_server.errors import EngineUnavailable, ModelBroken

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """What was read of one version: what it says of itself, and its ONNX model."""

    description: Description | None
    """None where it has no manifest: then its graph is believed."""
    model: bytes | Path
    variants: tuple[Variant, ...] = ()
    learned: bool = False
    """True where it has learned parameters, which another precision would round."""

    def in_precision(self, wanted: str, hardware: str) -> Artifact:
        """The artifact with the model of the precision to serve. Raises ModelBroken where there is none such."""
        told = self.description
        if told is None:
            return self
        precision = choose(wanted, self.variants, hardware, learned=self.learned)
        chosen = [v for v in self.variants if v.precision == precision]
        model = next((v.model for v in chosen if not v.pixels), self.model)
        spec = next((v.inputs[0] for v in chosen if v.pixels), None)
        return replace(self, description=replace(told, precision=precision, pixels=spec), model=model)

    def by_pixels(self) -> Artifact | None:
        """What serves requests that send pixels; None where it takes none."""
        told = self.description
        if told is None or told.pixels is None:
            return None
        model = next(v.model for v in self.variants if v.pixels and v.precision == told.precision)
        return replace(self, description=replace(told, inputs=(told.pixels,)), model=model)


Read = Callable[[Path, str], Artifact]
"""Verifies and reads one version: its folder, and the name of its ONNX file where it has no manifest.

Raises ModelBroken with a sentence.
"""


class LoadedModel:
    """A model that is loaded and warmed, with its batcher."""

    def __init__(self, description: Description, provider: str, batcher: Batcher, settings: ModelSettings) -> None:
        self.description, self.provider, self.batcher, self.settings = description, provider, batcher, settings
        self.queue_policy = settings.queue_policy

    @property
    def vitals(self) -> Vitals:
        """Whether it still works."""
        return self.batcher.vitals

    def submit(self, inputs: tuple[Array, ...], waiter: Submitter, reply: Reply) -> int:
        """See Model.submit."""
        return self.batcher.submit(inputs, waiter, reply)

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
        found = self._read(folder, settings.file)
        told = found.description
        if told is not None and (told.name, str(told.version)) != (name, folder.name):
            raise ModelBroken(f"its manifest says {told.name}/{told.version}, but it lies in {name}/{folder.name}")
        artifact, session = self._session(found, folder, settings)
        description = artifact.description or self._describe(name, int(folder.name), session, settings)
        check_config(settings, description)
        labels = {description.outputs[0].name: description.labels} if description.labels else {}
        description = replace(description, output_labels={**labels, **settings.labels})
        instances = self._instances(artifact, session, description, settings)
        pixels = artifact.by_pixels()
        if pixels is not None and pixels.description is not None:
            more = self._instances(pixels, self._open(pixels, settings), pixels.description, settings)
            instances = [TwoEntrances(*pair) for pair in zip(instances, more, strict=False)]
        wanted = warm_ups_for(description, settings.warm_ups)
        probe = known_input(session, description, wanted, must_run=artifact.description is not None)
        vitals = Vitals(f"{description.name} version {description.version}", probe)
        batcher = Batcher(
            instances, settings.limits, batched=description.batched, spread=session.provider != CUDA, vitals=vitals
        )
        return LoadedModel(description, session.provider, batcher, settings)

    def _describe(self, name: str, version: int, session: Session, settings: ModelSettings) -> Description:
        description = describe(name, version, session, settings.batched)
        if description.batched and settings.batched is None and not rows_are_independent(session, description):
            log.warning("%s mixes the rows of a batch, whatever its axis is called: requests are run one by one", name)
            return replace(description, batched=False)
        return description

    def _instances(
        self, artifact: Artifact, session: Session, description: Description, settings: ModelSettings
    ) -> list[Instance]:
        must_run = artifact.description is not None
        wanted = warm_ups_for(description, settings.warm_ups)
        warm = partial(warm_up, description=description, wanted=wanted, must_run=must_run)
        return make_instances(session, partial(self._open, artifact, settings), description, settings, warm)

    def _session(self, found: Artifact, folder: Path, settings: ModelSettings) -> tuple[Artifact, Session]:
        """The artifact in the precision to serve, and a session of it."""
        try:
            artifact = self._in_precision(found, settings)
            return artifact, self._open(artifact, settings)
        except EngineUnavailable:
            if self._wanted != "auto":
                raise
            log.exception("CUDA does not work for %s; the CPU takes over", folder)
            self._provider = CPU
            artifact = self._in_precision(found, settings)
            return artifact, self._open(artifact, settings)

    def _in_precision(self, found: Artifact, settings: ModelSettings) -> Artifact:
        engine = settings.engine
        return found.in_precision(engine.precision, CUDA_HARDWARE if self._provider == CUDA else engine.cpu)

    def _open(self, artifact: Artifact, settings: ModelSettings, graphs: bool = False) -> Session:
        engine = settings.engine
        options = provider_options(engine.cuda, graphs=graphs) if self._provider == CUDA else None
        return Session(
            artifact.model, artifact.description, self._provider, engine.threads, options, careful=engine.careful_int8
        )
