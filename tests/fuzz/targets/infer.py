"""ModelInfer by bytes. Each input is sent twice: the second answer, by template, must be the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from convserve_proto import open_inference as oip
from convserve_proto.tensors import NUMPY_TYPES
from convserve_server.calls import Code
from convserve_server.rpc.inference_service import InferenceService
from convserve_server.rpc.regions import Regions
from convserve_server.rpc.tracing import Tracer
from support.requests import infer_request, parameter

from fuzz.answers import answer_of, told
from fuzz.models import MODELS, Served
from fuzz.target import IN_MEMORY, Finding, Target, Try

REGION = "convserve"

Answer = bytes | tuple[Code, str]


@contextmanager
def _opened() -> Iterator[Try]:
    with TemporaryDirectory(prefix="convserve-fuzz-", dir=IN_MEMORY) as folder:
        Path(folder, REGION).write_bytes(bytes(64))
        regions = Regions(Path(folder))
        regions.register(REGION, REGION, 0, 64)
        (method,) = InferenceService(Served(*MODELS), regions, Tracer()).methods()

        def attempt(data: bytes) -> str:
            first, second = answer_of(method, data), answer_of(method, data)
            if first != second and not _out_of_time(first) and not _out_of_time(second):
                _check_same(first, second)
            return told(first, oip.ModelInferResponse)

        yield attempt
        regions.unregister("")


def _out_of_time(answer: Answer) -> bool:
    """True for a request that allowed itself microseconds: chance decides."""
    return not isinstance(answer, bytes) and answer[0] is Code.UNAVAILABLE


def _check_same(first: Answer, second: Answer) -> None:
    """The order of a map's entries is free, so replies are compared as messages."""
    if not isinstance(first, bytes) or not isinstance(second, bytes):
        raise Finding(f"answered differently the second time: {first!r}, then {second!r}")
    one, other = (oip.ModelInferResponse.FromString(m).SerializeToString(deterministic=True) for m in (first, second))
    if one != other:
        raise Finding("answered differently the second time")


def seeds() -> Iterator[bytes]:
    """Requests for each of the models, and one for each thing that a request may ask."""
    ones = np.ones((3, 2), np.float32)
    plain = infer_request("sum", {"a": ones, "b": ones * np.nan})
    yield plain.SerializeToString()
    yield infer_request("free", {"x": np.zeros((2, 0), np.float32)}, id="id").SerializeToString()
    yield infer_request("text", {"words": np.array([[b"a", "é".encode()]], object)}).SerializeToString()
    yield infer_request("scalar", {"x": np.array(7)}, model_version="1").SerializeToString()
    every = {
        kind.lower(): np.array([b"x"], object) if kind == "BYTES" else np.ones(1, dtype)
        for kind, dtype in NUMPY_TYPES.items()
    }
    yield infer_request("every", every, {kind.lower(): kind for kind in NUMPY_TYPES}).SerializeToString()
    typed = oip.ModelInferRequest(model_name="free")
    typed.inputs.add(name="x", datatype="FP32", shape=[1, 2]).contents.fp32_contents.extend([1, 2])
    typed.outputs.add(name="out_x").parameters["classification"].int64_param = 2
    yield typed.SerializeToString()
    for name, value in (("priority", 1), ("timeout", 1_000_000), ("sequence_id", 1), ("triton_x", "y")):
        plain.parameters[name].CopyFrom(parameter(value))
        yield plain.SerializeToString()
        plain.parameters.clear()
    yield shared_request().SerializeToString()


def shared_request() -> Any:
    """A request whose tensors lie in shared memory."""
    request = oip.ModelInferRequest(model_name="free")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    output = request.outputs.add(name="out_x")
    for parameters, offset in ((tensor.parameters, 0), (output.parameters, 32)):
        parameters["shared_memory_region"].string_param = REGION
        parameters["shared_memory_byte_size"].int64_param = 8
        parameters["shared_memory_offset"].int64_param = offset
    return request


TARGET = Target("infer", _opened, seeds)
