"""The Open Inference Protocol's service: live, ready, metadata and inference for any served model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Call, Method
from convserve_server.engine.model import Answer, Model, Models
from convserve_server.errors import ModelNotFound, ModelNotReady, ServerError, Unsupported
from convserve_server.rpc.signature import Signature
from convserve_server.rpc.status import fail, guarded, parse
from convserve_server.rpc.templates import Templates

EXTENSIONS = ("binary_tensor_data",)
"""Extensions of the protocol that work here, under the names that Triton gives them."""


class VersionedModels(Models, Protocol):
    """Models that can tell which versions they are served in."""

    def versions(self, name: str) -> list[int]:
        """Served versions, ascending; raises ModelNotFound."""


class InferenceService:
    """inference.GRPCInferenceService. ``ready`` tells whether the server can answer inference calls now."""

    def __init__(self, models: VersionedModels, ready: Callable[[], bool], version: str) -> None:
        self._models, self._ready, self._version = models, ready, version
        self._templates = Templates()
        self._signatures: WeakKeyDictionary[Model, Signature] = WeakKeyDictionary()

    def methods(self) -> list[Method]:
        """Every method of the service."""
        simple: dict[str, Callable[[bytes], Message]] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
        }
        methods = [Method(f"/{oip.SERVICE}/{n}", guarded(_immediate(f))) for n, f in simple.items()]
        return [*methods, Method(f"/{oip.SERVICE}/ModelInfer", guarded(self._model_infer), hot=True)]

    def _server_live(self, payload: bytes) -> Message:
        parse(oip.ServerLiveRequest, payload)
        return oip.ServerLiveResponse(live=True)

    def _server_ready(self, payload: bytes) -> Message:
        parse(oip.ServerReadyRequest, payload)
        return oip.ServerReadyResponse(ready=self._ready())

    def _model_ready(self, payload: bytes) -> Message:
        request = parse(oip.ModelReadyRequest, payload)
        try:
            self._models.find(request.name, request.version)
        except ModelNotReady:
            return oip.ModelReadyResponse(ready=False)
        return oip.ModelReadyResponse(ready=self._ready())

    def _server_metadata(self, payload: bytes) -> Message:
        parse(oip.ServerMetadataRequest, payload)
        return oip.ServerMetadataResponse(name="convserve", version=self._version, extensions=EXTENSIONS)

    def _model_metadata(self, payload: bytes) -> Message:
        request = parse(oip.ModelMetadataRequest, payload)
        model = self._models.find(request.name, request.version)
        description = model.description
        response = oip.ModelMetadataResponse(
            name=description.name,
            versions=[str(v) for v in self._models.versions(description.name)],
            platform="onnxruntime_onnx",
            properties={"provider": model.provider, "task": description.task, "version": str(description.version)},
        )
        for specs, tensors in ((description.inputs, response.inputs), (description.outputs, response.outputs)):
            for spec in specs:
                tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
        return response

    def _model_infer(self, payload: bytes, call: Call) -> None:
        template = self._templates.find(payload)
        if template is None:
            self._infer_anew(payload, call)
            return
        model = self._models.find(template.model_name, template.model_version)
        if self._signature(model) is not template.signature:
            # The newest version is another one by now.
            self._infer_anew(payload, call)
            return
        model.submit(template.inputs(payload), call, _replier(call, template.signature, "", template.outputs))
        call.lead(model.lead)

    def _infer_anew(self, payload: bytes, call: Call) -> None:
        """Take a request of a kind that was not seen before."""
        request = parse(oip.ModelInferRequest, payload)
        for name in request.parameters:
            if name.startswith("sequence_"):
                raise Unsupported(f"parameter '{name}' is not supported: every request stands alone here")
        if not request.model_name:
            raise ModelNotFound("the request names no model; set model_name")
        model = self._models.find(request.model_name, request.model_version)
        signature = self._signature(model)
        inputs = signature.inputs(request)
        outputs = signature.requested(request)
        self._templates.remember(payload, request, signature, outputs)
        model.submit(inputs, call, _replier(call, signature, request.id, outputs))
        call.lead(model.lead)

    def _signature(self, model: Model) -> Signature:
        signature = self._signatures.get(model)
        if signature is None:
            signature = self._signatures[model] = Signature(model.description)
        return signature


def _immediate(answer: Callable[[bytes], Message]) -> Callable[[bytes, Call], None]:
    def handler(payload: bytes, call: Call) -> None:
        call.reply(answer(payload).SerializeToString())

    return handler


def _replier(
    call: Call, signature: Signature, request_id: str, outputs: tuple[int, ...]
) -> Callable[[Answer | ServerError], None]:
    def reply(result: Answer | ServerError) -> None:
        if not isinstance(result, Answer):
            fail(call, result)
            return
        try:
            payload = signature.reply(request_id, outputs, result)
        except Exception as error:
            fail(call, error)
        else:
            call.reply(payload)

    return reply
