"""The calls of the soak: each carries an identity, and knows whether a reply is its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from convserve_client.bench.request import METHOD
from convserve_proto import open_inference as oip
from convserve_proto import vision_pb2

from benchmarks import affine_model

CLASSIFY = "/convserve.v1.ImageClassifier/Classify"
CONVOLVE = "/convserve.v1.Convolution/Convolve"
_LARGE = 150
"""Rows beyond the server's max_batch_size, which it must split and answer as one."""
_SIDE = 32


@dataclass(frozen=True)
class Call:
    """One call to make."""

    kind: str
    method: str
    body: bytes
    wrong: Callable[[bytes], str]
    """What is wrong with a reply; empty where it is this call's own."""


class Calls:
    """Makes calls that no other client and no other number of this client makes."""

    def __init__(self, client: int, classes: dict[bytes, str]) -> None:
        """``classes`` are pictures as raw pixels with the label that the server gave them when it was idle."""
        self._client, self._classes = client, list(classes.items())
        self._random = Random(client)
        self._number = 0

    def next(self) -> Call:
        """Mostly ModelInfer, some Classify and Convolve."""
        self._number += 1
        maker = self._random.choices((self._infer, self._convolve, self._classify), (8, 2, 1))[0]
        return maker()

    def _infer(self) -> Call:
        rows = _LARGE if self._random.random() < 0.01 else self._random.randint(1, 8)
        values = np.zeros((rows, affine_model.WIDTH), np.float32)
        values[:, 0], values[:, 1], values[:, 2] = self._client, self._number % 1_000_000, np.arange(rows)
        request = oip.ModelInferRequest(model_name=affine_model.NAME, id=f"{self._client}-{self._number}")
        request.inputs.add(name=affine_model.INPUT, datatype="FP32", shape=values.shape)
        request.raw_input_contents.append(values.tobytes())
        right = affine_model.expected(values).tobytes()

        def wrong(reply: bytes) -> str:
            response = oip.ModelInferResponse.FromString(reply)
            if response.id != request.id:
                return f"call {request.id} was answered as {response.id}"
            return "" if list(response.raw_output_contents) == [right] else f"call {request.id} has another's numbers"

        return Call("infer", METHOD, request.SerializeToString(), wrong)

    def _convolve(self) -> Call:
        side = self._random.randint(1, 24)
        values = [float(self._client), float(self._number), *(float(n) for n in range(side * side + 2))][: side * side]
        matrix = vision_pb2.Matrix(rows=side, columns=side, values=values)
        request = vision_pb2.ConvolveRequest(
            matrix=matrix, custom_kernel=vision_pb2.Matrix(rows=1, columns=1, values=[2.0])
        )

        def wrong(reply: bytes) -> str:
            (answer,) = vision_pb2.ConvolveResponse.FromString(reply).responses
            own = list(answer.values) == [2 * value for value in values]
            return "" if own else f"convolution {self._client}-{self._number} has another's numbers"

        return Call("convolve", CONVOLVE, request.SerializeToString(), wrong)

    def _classify(self) -> Call:
        chosen = self._random.sample(self._classes, self._random.randint(1, min(3, len(self._classes))))
        labels = [label for _, label in chosen]

        def wrong(reply: bytes) -> str:
            results = vision_pb2.ClassifyResponse.FromString(reply).results
            got = [result.classifications[0].label if result.classifications else "" for result in results]
            return "" if got == labels else f"pictures of {labels} were classified as {got}"

        return Call("classify", CLASSIFY, classify_request([pixels for pixels, _ in chosen]), wrong)


def pictures(count: int) -> list[bytes]:
    """Raw RGB pixels that look different from each other."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return [np.kron(c, np.ones((8, 8, 1), np.uint8)).tobytes() for c in coarse]


def classify_request(images: list[bytes]) -> bytes:
    """Their classes, the best one each."""
    request = vision_pb2.ClassifyRequest(top_k=1)
    for pixels in images:
        request.images.add(pixels=vision_pb2.Pixels(height=_SIDE, width=_SIDE, channels=3, data=pixels))
    return request.SerializeToString()
