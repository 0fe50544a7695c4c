"""How one model is served: the server's settings, changed by what the model's own config says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from convserve_server.engine.batcher import Limits
from convserve_server.engine.model import QueuePolicy
from convserve_server.engine.session import EngineSettings
from convserve_server.engine.versions import VersionPolicy


@dataclass(frozen=True)
class WarmUp:
    """Runs before a model is served."""

    rows: int = 1
    """Rows of each run, where the model is batched."""
    runs: int = 1
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Input name to shape without the batch axis; an input that is not named has 1 for every free axis."""
    random: frozenset[str] = frozenset()
    """Inputs that get random numbers in [0, 1) instead of zeros."""


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How one model is served."""

    engine: EngineSettings
    limits: Limits
    batched: bool | None = None
    """Whether axis 0 counts rows; None leaves that to the artifact."""
    versions: VersionPolicy = field(default_factory=VersionPolicy)
    file: str = "model.onnx"
    """Name of the ONNX file of a version without a manifest."""
    warm_ups: tuple[WarmUp, ...] = ()
    """None means one run on zeros, which may fail where there is no manifest."""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Output name to the names of its classes."""
    label_files: Mapping[str, str] = field(default_factory=dict)
    """Where they were read from."""
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """What the config says of inputs: name to shape without the batch axis. The artifact must agree."""
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    queue_policy: QueuePolicy = field(default_factory=QueuePolicy)
    source: str = ""
    """The config as it was read; what is served is loaded anew when it changes."""
