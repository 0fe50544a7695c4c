"""The Open Inference Protocol's inference call."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from convserve_proto import open_inference as oip

from convserve_server.calls import Call, Handler, Method
from convserve_server.engine.model import Answer, Array, Model, Models
from convserve_server.errors import ModelNotFound, ServerError
from convserve_server.rpc.noting import asked, noted
from convserve_server.rpc.output_parameters import OutputWishes
from convserve_server.rpc.pixel_input import by_pixels, with_pixels
from convserve_server.rpc.queueing import queued
from convserve_server.rpc.regions import Regions
from convserve_server.rpc.shared_inputs import with_shared_inputs
from convserve_server.rpc.signature import Signature
from convserve_server.rpc.status import fail, guarded, parse
from convserve_server.rpc.templates import Templates
from convserve_server.rpc.tracing import Tracer


class InferenceService:
    """ModelInfer, for any served model."""

    def __init__(self, models: Models, regions: Regions, tracer: Tracer) -> None:
        self._models, self._regions, self._tracer = models, regions, tracer
        self.infer: Handler = guarded(self._model_infer)
        """Answers one request, however it came in."""
        self._templates = Templates()
        self._signatures: WeakKeyDictionary[Model, Signature] = WeakKeyDictionary()
        self._pixel_signatures: WeakKeyDictionary[Model, Signature] = WeakKeyDictionary()

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return [Method(f"/{oip.SERVICE}/ModelInfer", self.infer, hot=True)]

    def _model_infer(self, payload: bytes, call: Call) -> None:
        template = self._templates.find(payload)
        if template is None or self._tracer.on:
            self._infer_anew(payload, call)
            return
        model = self._models.find(template.model_name, template.model_version)
        known = (self._signature(model), self._pixel_signatures.get(model))
        if template.signature not in known:
            # The newest version is another one by now.
            self._infer_anew(payload, call)
            return
        reply = _replier(call, template.signature, "", template.outputs)
        inputs = template.inputs(payload)
        if call.notes is not None:
            reply = noted(call, model, _rows(model, inputs), reply)
        call.lead(model.lead, model.submit(inputs, call, reply))

    def _infer_anew(self, payload: bytes, call: Call) -> None:
        """Take a request of a kind that was not seen before."""
        request = parse(oip.ModelInferRequest, payload)
        if not request.model_name:
            raise ModelNotFound("the request names no model; set model_name")
        asked(call, request.model_name, request.model_version, request.id)
        model = self._models.find(request.model_name, request.model_version)
        signature = self._signature(model, pixels=with_pixels(model.description, request))
        request = with_shared_inputs(request, self._regions)
        inputs = signature.inputs(request)
        outputs = signature.requested(request)
        wishes = OutputWishes(request, model.description, self._regions)
        reply = _replier(call, signature, request.id, outputs, wishes or None)
        waiter, reply = queued(request, model, call, reply)
        if self._tracer.on:
            reply = self._tracer.around(model.description, request.id, reply)
        if waiter is call and not wishes:
            self._templates.remember(payload, request, signature, outputs)
        reply = noted(call, model, _rows(model, inputs), reply, request.id)
        call.lead(model.lead, model.submit(inputs, waiter, reply))

    def _signature(self, model: Model, *, pixels: bool = False) -> Signature:
        signatures = self._pixel_signatures if pixels else self._signatures
        signature = signatures.get(model)
        if signature is None:
            description = by_pixels(model.description) if pixels else model.description
            signature = signatures[model] = Signature(description)
        return signature


def _rows(model: Model, inputs: tuple[Array, ...]) -> int:
    return len(inputs[0]) if model.description.batched else 1


def _replier(
    call: Call, signature: Signature, request_id: str, outputs: tuple[int, ...], wishes: OutputWishes | None = None
) -> Callable[[Answer | ServerError], None]:
    def reply(result: Answer | ServerError) -> None:
        if not isinstance(result, Answer):
            fail(call, result)
            return
        try:
            payload = signature.reply(request_id, outputs, result)
            if wishes is not None:
                payload = wishes.fulfil(payload)
        except Exception as error:
            fail(call, error)
        else:
            call.reply(payload)

    return reply
