"""Models that answer with what they were sent: real batchers, signatures and settings, without ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from convserve_proto.tensors import NUMPY_TYPES
from convserve_server.artifacts import read_artifact
from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.graph import check_config
from convserve_server.engine.loading import LoadedModel, Loader
from convserve_server.engine.model import Array, Description, Models, TensorSpec
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.session import EngineSettings
from convserve_server.errors import ModelBroken, ModelNotFound

SETTINGS = ModelSettings(engine=EngineSettings(provider="cpu", instances=1, threads=1), limits=Limits())


class Echo:
    """An instance whose outputs are its inputs."""

    gathering_seconds = 0.0

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        return [np.concatenate(arrays) if len(arrays) > 1 else arrays[0] for arrays in zip(*requests, strict=True)]


def echo_model(description: Description, settings: ModelSettings = SETTINGS) -> LoadedModel:
    """A model of that description with a batcher of its own."""
    return LoadedModel(description, "echo", Batcher([Echo()], settings.limits, batched=description.batched), settings)


def described(name: str, *, batched: bool = False, **inputs: tuple[str, tuple[int, ...]]) -> Description:
    """A model whose outputs are named out_INPUT."""
    return Description(
        name=name,
        version=1,
        task="",
        inputs=tuple(TensorSpec(n, kind, shape) for n, (kind, shape) in inputs.items()),
        outputs=tuple(TensorSpec(f"out_{n}", kind, shape) for n, (kind, shape) in inputs.items()),
        batched=batched,
    )


class Served(Models):
    """Models by name, of one version each."""

    def __init__(self, *descriptions: Description) -> None:
        self._models = {d.name: echo_model(d) for d in descriptions}

    def find(self, name: str, version: str = "") -> LoadedModel:
        if name not in self._models or version not in ("", "1"):
            raise ModelNotFound(f"there is no model '{name}' of version '{version}'")
        return self._models[name]


EVERY_TYPE: dict[str, Any] = {kind.lower(): (kind, (-1,)) for kind in NUMPY_TYPES}

MODELS = (
    described("sum", batched=True, a=("FP32", (-1, 2)), b=("FP32", (-1, 2))),
    described("free", x=("FP32", (-1, -1))),
    described("text", batched=True, words=("BYTES", (-1, -1))),
    described("scalar", x=("INT64", ())),
    described("every", **EVERY_TYPE),
)
"""With and without a batch axis, with every datatype of the protocol, with free and fixed axes."""


class EchoLoader(Loader):
    """Reads and checks versions as the server does, and serves what their manifests describe by echo."""

    def __init__(self) -> None:
        super().__init__(lambda folder, file: read_artifact(folder, file, allow_unverified=True))

    def choose_provider(self) -> None:
        """There is nothing to choose."""

    def load(self, folder: Path, name: str, settings: ModelSettings) -> LoadedModel:
        description = self._read(folder, settings.file).description
        if description is None:
            raise ModelBroken("it has no manifest, and nothing here reads its graph")
        check_config(settings, description)
        return echo_model(description, settings)
