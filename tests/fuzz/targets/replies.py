"""What the client reads: a reply to each of its operations, from a server that nobody vouches for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from convserve_client.errors import ConvserveError
from convserve_client.link import Link
from convserve_client.operations import classification, convolution, inference, status
from convserve_client.steps import Answer, Send, Together
from convserve_proto import open_inference as oip
from convserve_proto import vision_pb2 as vision
from support.requests import infer_request

from fuzz.target import Target, Try
from fuzz.wire_fields import join, split

_PICTURE = np.zeros((2, 2, 3), np.uint8)
OPERATIONS: tuple[Callable[[Link], Any], ...] = (
    lambda link: inference.infer(link, "m", {"x": np.ones(2, np.float32)}),
    lambda link: classification.classify(link, [_PICTURE, _PICTURE]),
    lambda link: convolution.convolve(link, _PICTURE, "sobel_x"),
    status.is_live,
    status.is_ready,
    lambda link: status.model_ready(link, "m"),
    status.server_metadata,
    lambda link: status.model_metadata(link, "m"),
    status.models,
)
"""An input is a message whose field numbers, from 1 on, say which of these its bytes are the reply to."""


def _carried_out(steps: Any, payload: bytes) -> Any:
    """The operation's result, with ``payload`` as the reply to all that it sends."""
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as done:
            return done.value
        if isinstance(step, Send):
            answer = Answer(payload)
        else:
            assert isinstance(step, Together), step
            answer = [_carried_out(job, payload) for job in step.jobs]
            for result in answer if step.done else ():
                assert step.done is not None
                step.done(result)


@contextmanager
def _opened() -> Iterator[Try]:
    link = Link()

    def attempt(data: bytes) -> str:
        outcome = "nothing"
        for number, _, payload in (split(data) or ())[:4]:
            if isinstance(payload, bytes) and number <= len(OPERATIONS):
                try:
                    outcome = type(_carried_out(OPERATIONS[number - 1](link), payload)).__name__
                except ConvserveError as error:
                    outcome = str(error)
        return outcome

    yield attempt


def _seeds() -> Iterator[bytes]:
    response = oip.ModelInferResponse(model_name="m", model_version="1", id="i")
    request = infer_request("m", {"x": np.ones((2, 2), np.float32), "words": np.array([b"a", b""], object)})
    for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        response.raw_output_contents.append(raw)
    response.parameters["a"].double_param = 0.5
    yield join([(1, 2, response.SerializeToString())])
    typed = oip.ModelInferResponse()
    typed.outputs.add(name="y", datatype="INT8", shape=[2]).contents.int_contents.extend([-1, 1])
    yield join([(1, 2, typed.SerializeToString())])
    classes = vision.ClassifyResponse(model_name="m", queue_seconds=0.1)
    classes.results.add().classifications.add(label="cat", index=3, probability=0.9)
    classes.results.add().error.message = "image 1 is empty"
    yield join([(2, 2, classes.SerializeToString())])
    plane = vision.Matrix(rows=1, columns=2, values=[1.0, float("nan")])
    convolved = vision.ConvolveResponse(rows=1, columns=2, responses=[plane, plane], kernel=plane, png=b"\x89PNG")
    yield join([(3, 2, convolved.SerializeToString())])
    metadata = oip.ModelMetadataResponse(name="m", versions=["1"], platform="onnx", properties={"a": "b"})
    metadata.inputs.add(name="x", datatype="FP32", shape=[-1, 2])
    ready = oip.ModelReadyResponse(ready=True).SerializeToString()
    server = oip.ServerMetadataResponse(name="s", version="1", extensions=["e"]).SerializeToString()
    yield join([(4, 2, ready), (5, 2, ready), (6, 2, ready), (7, 2, server)])
    yield join([(8, 2, metadata.SerializeToString())])
    health = join([(1, 2, join([(1, 2, b"models/m"), (2, 2, b"\x08\x01")]))])
    yield join([(9, 2, health)])


TARGET = Target("replies", _opened, _seeds)
