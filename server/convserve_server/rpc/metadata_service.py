"""The Open Inference Protocol's questions about the server and its models: live, ready, names, shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Method
from convserve_server.engine.model import Model, Models
from convserve_server.errors import ModelNotFound, ModelNotReady
from convserve_server.rpc.simple import simple_methods
from convserve_server.rpc.status import parse

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "schedule_policy",
    "statistics",
    "system_shared_memory",
    "trace",
)
"""Extensions of the protocol that work here, under the names that Triton gives them."""
PLATFORM = "onnxruntime_onnx"


class VersionedModels(Models, Protocol):
    """Models that can tell which versions they are served in."""

    def versions(self, name: str) -> list[int]:
        """Served versions, ascending; raises ModelNotFound."""

    def failing(self, name: str, version: str = "") -> str:
        """Why a served version cannot be relied on now; empty where it can."""

    def knows(self, name: str, version: str = "") -> bool:
        """True when a version was to be served, even if it is not served now."""


class MetadataService:
    """ServerLive, ServerReady, ServerMetadata, ModelReady and ModelMetadata.

    ``ready`` tells whether the server can answer inference calls now.
    """

    def __init__(
        self,
        models: VersionedModels,
        ready: Callable[[], bool],
        version: str,
        extensions: Sequence[str] = EXTENSIONS,
    ) -> None:
        self._models, self._ready, self._version, self._extensions = models, ready, version, extensions

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return simple_methods(
            {
                "ServerLive": self._server_live,
                "ServerReady": self._server_ready,
                "ServerMetadata": self._server_metadata,
                "ModelReady": self._model_ready,
                "ModelMetadata": self._model_metadata,
            }
        )

    def _server_live(self, payload: bytes) -> Message:
        parse(oip.ServerLiveRequest, payload)
        return oip.ServerLiveResponse(live=True)

    def _server_ready(self, payload: bytes) -> Message:
        parse(oip.ServerReadyRequest, payload)
        return oip.ServerReadyResponse(ready=self._ready())

    def _server_metadata(self, payload: bytes) -> Message:
        parse(oip.ServerMetadataRequest, payload)
        return oip.ServerMetadataResponse(name="convserve", version=self._version, extensions=self._extensions)

    def _model_ready(self, payload: bytes) -> Message:
        request = parse(oip.ModelReadyRequest, payload)
        try:
            self._models.find(request.name, request.version)
        except ModelNotReady:
            return oip.ModelReadyResponse(ready=False)
        except ModelNotFound:
            # Unloaded or refused: there is such a model, and it cannot answer.
            if self._models.knows(request.name, request.version):
                return oip.ModelReadyResponse(ready=False)
            raise
        # Of the model alone: the server is ready with others.
        works = not self._models.failing(request.name, request.version)
        return oip.ModelReadyResponse(ready=works and self._ready())

    def _model_metadata(self, payload: bytes) -> Message:
        request = parse(oip.ModelMetadataRequest, payload)
        model = self._models.find(request.name, request.version)
        description = model.description
        response = oip.ModelMetadataResponse(
            name=description.name,
            versions=[str(v) for v in self._models.versions(description.name)],
            platform=PLATFORM,
            properties=_properties(model),
        )
        for specs, tensors in ((description.inputs, response.inputs), (description.outputs, response.outputs)):
            for spec in specs:
                tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
        return response


def _properties(model: Model) -> dict[str, str]:
    """What the protocol has no field for."""
    description, pixels = model.description, model.description.pixels
    properties = {"provider": model.provider, "task": description.task, "version": str(description.version)}
    if description.precision:
        properties["precision"] = description.precision
    if pixels is not None:
        # In place of the usual input.
        properties["pixel_input"] = f"{pixels.name} {pixels.datatype} {list(pixels.shape)}"
    return properties
