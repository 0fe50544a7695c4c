"""Runs a case in ONNX Runtime in process and over gRPC, and says how it went."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from convserve_proto import open_inference as oip
from convserve_proto.tensors import NUMPY_TYPES, TensorError, datatype_of
from e2e.onnx_cases.cases import Case
from support.open_inference import ask
from support.requests import infer_request, outputs_of

EQUAL = "served and equal"
NOT_RUN = "not run by ONNX Runtime in process"
OTHER = "served as ONNX Runtime runs it in process, which is not what the case expects"
RANDOM = "random: no two runs are equal"
NO_TENSOR = "the protocol has no such tensor"
FAILED = "FAILED"


class Unequal(Exception):
    """An output is not what is expected."""


def outcome(case: Case, channel: grpc.Channel, repository: Path) -> tuple[str, str]:
    """What became of a case, in one of the words above, and the reason."""
    try:
        inputs = case.inputs
        feeds = [dict(zip(inputs, given, strict=True)) for given, _ in case.data]
    except ValueError as error:
        return NOT_RUN, f"the case has other inputs than its graph: {error}"
    for given, expected in case.data:
        for value in (*given, *expected):
            if reason := _inexpressible(value):
                return NO_TENSOR, reason
    try:
        session = _session(case)
        results = [_run(session, feed) for feed in feeds]
    except Exception as error:
        return NOT_RUN, str(error).strip().splitlines()[0]
    wanted: Sequence[Sequence[Any]] = [expected for _, expected in case.data]
    word, reason = EQUAL, _difference(wanted, results, case)
    if reason:
        if _difference(results, [_run(session, feed) for feed in feeds], case):
            return RANDOM, ""
        word, wanted = OTHER, results
    try:
        served = _serve(case, feeds, channel, repository)
    except grpc.RpcError as error:
        return FAILED, str(error.details())
    failure = _difference(wanted, served, case)
    return (FAILED, failure) if failure else (word, reason)


def _difference(wanted: Sequence[Sequence[Any]], got: Sequence[Sequence[Any]], case: Case) -> str:
    """What is not as it should be; empty where all is."""
    try:
        for expected, have in zip(wanted, got, strict=True):
            _compare(expected, have, case)
    except Unequal as error:
        return str(error)
    return ""


def _inexpressible(value: Any) -> str:
    if not isinstance(value, np.ndarray | np.generic):
        kind = "an optional that is empty" if value is None else f"a {type(value).__name__}"
        return f"{kind} in place of a tensor"
    if value.dtype.name == "bfloat16" or value.dtype.kind in "OSU":
        return ""
    try:
        datatype_of(np.asarray(value))
    except TensorError:
        return f"datatype {value.dtype.name}"
    return ""


def _session(case: Case) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(case.model, options, providers=["CPUExecutionProvider"])


def _run(session: Any, feed: dict[str, Any]) -> list[Any]:
    nodes = (*session.get_inputs(), *session.get_outputs())
    for node in nodes:
        if not node.type.startswith("tensor("):
            raise ValueError(f"{node.name} is {node.type}")
    if not any(node.type == "tensor(bfloat16)" for node in nodes):
        return list(session.run(None, {name: _text(value) for name, value in feed.items()}))
    values = {}
    for name, value in feed.items():
        if value.dtype.name == "bfloat16":
            bits = np.ascontiguousarray(value).view(np.uint16).reshape(value.shape)
            values[name] = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, 16)
        else:
            values[name] = onnxruntime.OrtValue.ortvalue_from_numpy(value)
    names = [node.name for node in session.get_outputs()]
    return [_array(value) for value in session.run_with_ort_values(names, values)]


def _array(value: Any) -> Any:
    if value.data_type() != "tensor(bfloat16)":
        return value.numpy()
    shape = tuple(value.shape())
    bits = ctypes.string_at(value.data_ptr(), 2 * int(np.prod(shape)))
    return np.frombuffer(bits, np.uint16).reshape(shape)


def _text(value: Any) -> Any:
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "SU" else array


def _serve(case: Case, feeds: Sequence[dict[str, Any]], channel: grpc.Channel, repository: Path) -> list[list[Any]]:
    folder = repository / case.name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(case.model)
    ask(channel, "RepositoryModelLoad", oip.RepositoryModelLoadRequest(model_name=case.name))
    try:
        served = []
        for feed in feeds:
            datatypes = {name: "BF16" for name, value in feed.items() if value.dtype.name == "bfloat16"}
            arrays = {
                name: np.asarray(v).view(np.uint16).reshape(v.shape) if name in datatypes else _text(v)
                for name, v in feed.items()
            }
            response = ask(channel, "ModelInfer", infer_request(case.name, arrays, datatypes))
            for output in response.outputs:
                assert output.datatype in NUMPY_TYPES
            served.append(list(outputs_of(response).values()))
        return served
    finally:
        ask(channel, "RepositoryModelUnload", oip.RepositoryModelUnloadRequest(model_name=case.name))


def _compare(expected: Sequence[Any], got: Sequence[Any], case: Case) -> None:
    if len(expected) != len(got):
        raise Unequal(f"{len(got)} outputs, expected {len(expected)}")
    for index, (want, have) in enumerate(zip(expected, got, strict=True)):
        want = np.asarray(want)
        if want.shape != have.shape:
            raise Unequal(f"output {index} has shape {have.shape}, expected {want.shape}")
        if want.dtype.kind in "OSU":
            if [_str(e) for e in want.flat] != [_str(e) for e in have.flat]:
                raise Unequal(f"output {index} is other text")
            continue
        rtol = case.rtol
        if want.dtype.name == "bfloat16":
            # Two units in the last place, as in ONNX's runner.
            rtol, want, have = max(rtol, 2**-6), want.astype(np.float32), _widened(have)
        elif want.dtype != have.dtype:
            raise Unequal(f"output {index} is {have.dtype}, expected {want.dtype}")
        if want.dtype.kind == "b":
            want, have = want.astype(np.int8), have.astype(np.int8)
        if not np.allclose(have, want, rtol=rtol, atol=case.atol, equal_nan=True):
            raise Unequal(f"output {index} has other numbers")


def _widened(bits: Any) -> Any:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _str(element: Any) -> str:
    return element.decode() if isinstance(element, bytes) else str(element)
