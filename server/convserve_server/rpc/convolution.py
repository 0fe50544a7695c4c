"""convserve.v1.Convolution: what one kernel does to an image, computed by the model ``convolve``."""

from __future__ import annotations

from convserve_proto import vision_pb2

from convserve_server.calls import Call, Method
from convserve_server.engine.model import Answer, Models
from convserve_server.errors import ModelNotFound, ServerError
from convserve_server.rpc.convolution_request import ConvolutionLimits, plan
from convserve_server.rpc.convolution_response import encode
from convserve_server.rpc.image_files import ignore_pillow_warnings
from convserve_server.rpc.joining import Joined
from convserve_server.rpc.noting import asked, noted
from convserve_server.rpc.status import fail, guarded, parse

MODEL, TASK = "convolve", "convolution"
"""Inputs: image FP32 [planes, rows, columns] and kernel FP32 [rows, columns]. Output: the cross-correlation at every
position where the kernel lies inside the image, FP32 [planes, rows - kernel rows + 1, columns - kernel columns + 1]."""


class Convolution:
    """Answers Convolve. Padding, flips, strides, gradients and pictures are made here; the model slides the kernel."""

    def __init__(self, models: Models, limits: ConvolutionLimits | None = None) -> None:
        ignore_pillow_warnings()
        self._models = models
        self._limits = limits or ConvolutionLimits()

    def methods(self) -> list[Method]:
        """Every method of the service."""
        return [Method("/convserve.v1.Convolution/Convolve", guarded(self._convolve), hot=True)]

    def _convolve(self, payload: bytes, call: Call) -> None:
        request = parse(vision_pb2.ConvolveRequest, payload)
        asked(call, MODEL, "")
        model = self._models.find(MODEL)
        if model.description.task != TASK:
            raise ModelNotFound(f"the model '{MODEL}' that is served is not the one that slides kernels")
        work = plan(request, self._limits)

        def answer(answers: list[Answer] | ServerError) -> None:
            if isinstance(answers, ServerError):
                fail(call, answers)
                return
            try:
                response = encode(request, work, answers, model.description)
            except Exception as error:
                fail(call, error)
            else:
                call.reply(response)

        joined = Joined(len(work.slid), answer)
        for index, kernel in enumerate(work.slid):
            reply = noted(call, model, 1, joined.reply(index))
            try:
                model.submit((work.planes, kernel), call, reply)
            except ServerError as error:
                # What was submitted before is still in the queue: it must be led, and its answer is dropped.
                reply(error)
                break
        call.lead(model.lead)
