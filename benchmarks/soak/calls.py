"""The calls of the soak: each carries an identity, and knows whether a reply is its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from convserve_client.bench.request import METHOD
from convserve_proto import open_inference as oip
from convserve_proto import vision_pb2

from benchmarks import affine_model
from benchmarks.soak.pictures import CLASSIFY, Known, classify_request, encoded, unreadable

CONVOLVE = "/convserve.v1.Convolution/Convolve"
OK = frozenset({"OK"})
_LARGE = 150
"""Rows beyond the server's max_batch_size, which it must split and answer as one."""
_CLOSE = 1e-3
"""Between probabilities of one picture in batches of different sizes."""
_UNREADABLE = 3
"""INVALID_ARGUMENT, as the code of one image."""


@dataclass(frozen=True)
class Call:
    """One call to make."""

    kind: str
    method: str
    body: bytes
    wrong: Callable[[bytes], str]
    """What is wrong with a reply; empty where it is this call's own."""
    codes: frozenset[str] = OK
    """What it must end with when it is waited for."""


class Calls:
    """Makes calls that no other client and no other number of this client makes."""

    def __init__(self, client: int, known: Sequence[Known]) -> None:
        self.client, self.random = client, Random(client)
        self._known = known
        self._unreadable = unreadable()
        self._number = 0

    def next(self) -> Call:
        """Mostly ModelInfer, some Classify and Convolve."""
        maker = self.random.choices((self._infer, self._matrix, self._picture, self._classify), (8, 1, 1, 2))[0]
        return maker()

    def number(self) -> int:
        """Another one each time."""
        self._number += 1
        return self._number

    def infer_request(self, rows: int, model: str = affine_model.NAME) -> tuple[Any, Callable[[Any], str]]:
        """A request with its identity in every row, and what tells what is wrong with the response to it."""
        number = self.number()
        values = np.zeros((rows, affine_model.WIDTH), np.float32)
        values[:, 0], values[:, 1], values[:, 2] = self.client, number % 1_000_000, np.arange(rows)
        request = oip.ModelInferRequest(model_name=model, id=f"{self.client}-{number}")
        request.inputs.add(name=affine_model.INPUT, datatype="FP32", shape=values.shape)
        request.raw_input_contents.append(values.tobytes())

        def wrong(response: Any) -> str:
            if response.id != request.id:
                return f"call {request.id} was answered as {response.id}"
            # What a version adds proves that the answer is of the version that it names.
            right = affine_model.expected(values, int(response.model_version)).tobytes()
            own = list(response.raw_output_contents) == [right]
            return "" if own else f"call {request.id} has another's numbers"

        return request, wrong

    def _infer(self) -> Call:
        rows = _LARGE if self.random.random() < 0.01 else self.random.randint(1, 8)
        request, wrong = self.infer_request(rows)
        return Call(
            "infer",
            METHOD,
            request.SerializeToString(),
            lambda reply: wrong(oip.ModelInferResponse.FromString(reply)),
        )

    def _matrix(self) -> Call:
        side, number = self.random.randint(1, 24), self.number()
        values = [float(self.client), float(number), *(float(n) for n in range(side * side + 2))][: side * side]
        matrix = vision_pb2.Matrix(rows=side, columns=side, values=values)
        return self._convolve("convolve", vision_pb2.ConvolveRequest(matrix=matrix), values)

    def _picture(self) -> Call:
        height, width = self.random.randint(1, 40), self.random.randint(1, 40)
        pixels = np.frombuffer(self.random.randbytes(height * width), np.uint8).reshape(height, width)
        image = vision_pb2.Image(encoded=encoded(pixels, "PNG"))
        values = [float(p) for p in pixels.ravel()]
        return self._convolve("convolve a PNG", vision_pb2.ConvolveRequest(image=image), values)

    def _convolve(self, kind: str, request: vision_pb2.ConvolveRequest, values: list[float]) -> Call:
        request.custom_kernel.CopyFrom(vision_pb2.Matrix(rows=1, columns=1, values=[2.0]))

        def wrong(reply: bytes) -> str:
            (answer,) = vision_pb2.ConvolveResponse.FromString(reply).responses
            own = np.allclose(answer.values, [2 * value for value in values], rtol=1e-6, atol=1e-3)
            return "" if own else f"a convolution of client {self.client} has another's numbers"

        return Call(kind, CONVOLVE, request.SerializeToString(), wrong)

    def _classify(self) -> Call:
        sent: list[Known | bytes] = list(self.random.sample(self._known, self.random.randint(1, 3)))
        if self.random.random() < 0.2:
            sent.insert(self.random.randint(0, len(sent)), self.random.choice(self._unreadable))

        def wrong(reply: bytes) -> str:
            results = vision_pb2.ClassifyResponse.FromString(reply).results
            if len(results) != len(sent):
                return f"{len(results)} results for {len(sent)} pictures"
            told = (_wrong_class(picture, result) for picture, result in zip(sent, results, strict=True))
            return next((sentence for sentence in told if sentence), "")

        body = classify_request(s.image if isinstance(s, Known) else s for s in sent)
        return Call("classify", CLASSIFY, body, wrong)


def _wrong_class(picture: Known | bytes, result: Any) -> str:
    if isinstance(picture, bytes):
        refused = result.error.code == _UNREADABLE and not result.classifications
        return "" if refused else f"a picture that cannot be read was answered with {result}"
    if len(result.classifications) != 1:
        return f"a {picture.label} was answered with {result}"
    (best,) = result.classifications
    if best.label == picture.label and abs(best.probability - picture.probability) < _CLOSE:
        return ""
    return f"a {picture.label} ({picture.probability:.6f}) was called a {best.label} ({best.probability:.6f})"
