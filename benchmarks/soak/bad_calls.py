"""Calls that must be refused, each with its status code, while the others are answered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from convserve_client.bench.request import METHOD
from convserve_proto import open_inference as oip
from convserve_proto import vision_pb2

from benchmarks import affine_model
from benchmarks.soak.calls import CONVOLVE, Call, Calls
from benchmarks.soak.pictures import CLASSIFY

MAX_MESSAGE_BYTES = 1 << 20
"""What the soak's server takes."""
_GRPC_SERVICE = "/inference.GRPCInferenceService/"


def bad_call(calls: Calls) -> Call:
    """One of them at random."""
    kind, code, method, body = calls.random.choice(_KINDS)
    return Call(f"bad: {kind}", method, body(calls), _never, frozenset({code}))


def _never(reply: bytes) -> str:
    return "a bad request was answered"


def _infer(change: Callable[[oip.ModelInferRequest], object]) -> Callable[[Calls], bytes]:
    def body(calls: Calls) -> bytes:
        request, _ = calls.infer_request(2)
        change(request)
        content: bytes = request.SerializeToString()
        return content

    return body


def _noise(calls: Calls) -> bytes:
    # A length that no message is long enough for comes first, so it is never valid by chance.
    return b"\x0a\xff\x7f" + calls.random.randbytes(60)


def _short_data(request: oip.ModelInferRequest) -> None:
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def _odd_shape(request: oip.ModelInferRequest) -> None:
    request.inputs[0].shape[:] = [2, affine_model.WIDTH + 1]


def _unknown_model(request: oip.ModelInferRequest) -> None:
    request.model_name = "nobody"


def _unknown_version(request: oip.ModelInferRequest) -> None:
    request.model_version = "999999999"


def _odd_datatype(request: oip.ModelInferRequest) -> None:
    request.inputs[0].datatype = "FP33"


def _too_many_bytes(request: oip.ModelInferRequest) -> None:
    request.raw_input_contents[0] = bytes(MAX_MESSAGE_BYTES)


def _empty_classify(calls: Calls) -> bytes:
    return vision_pb2.ClassifyRequest().SerializeToString()


def _infinite_matrix(calls: Calls) -> bytes:
    matrix = vision_pb2.Matrix(rows=1, columns=1, values=[float(np.inf)])
    kernel = vision_pb2.Matrix(rows=1, columns=1, values=[1.0])
    return vision_pb2.ConvolveRequest(matrix=matrix, custom_kernel=kernel).SerializeToString()


_KINDS: tuple[tuple[str, str, str, Callable[[Calls], bytes]], ...] = (
    ("noise for ModelInfer", "INVALID_ARGUMENT", METHOD, _noise),
    ("noise for Classify", "INVALID_ARGUMENT", CLASSIFY, _noise),
    ("too little data", "INVALID_ARGUMENT", METHOD, _infer(_short_data)),
    ("another shape", "INVALID_ARGUMENT", METHOD, _infer(_odd_shape)),
    ("no such datatype", "INVALID_ARGUMENT", METHOD, _infer(_odd_datatype)),
    ("no such model", "NOT_FOUND", METHOD, _infer(_unknown_model)),
    ("no such version", "NOT_FOUND", METHOD, _infer(_unknown_version)),
    ("too many bytes", "RESOURCE_EXHAUSTED", METHOD, _infer(_too_many_bytes)),
    ("no pictures", "INVALID_ARGUMENT", CLASSIFY, _empty_classify),
    ("an infinite number", "INVALID_ARGUMENT", CONVOLVE, _infinite_matrix),
    ("no such method", "UNIMPLEMENTED", _GRPC_SERVICE + "Nothing", _noise),
)
