"""The request that is sent again and again: shapes and data for a model's inputs, made from its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from convserve_proto import open_inference as oip
from convserve_proto import tensors
from numpy.typing import NDArray

from convserve_client.clients import Client
from convserve_client.errors import InputError, ReplyError
from convserve_client.results import ModelInfo, TensorInfo

METHOD = f"/{oip.SERVICE}/ModelInfer"
DYNAMIC_AXIS = 32
"""What an axis without a length gets, save the first, which counts rows."""
SEED = 0
ZEROS = "zeros"
RANDOM = "random"


@dataclass(frozen=True)
class Prepared:
    """A request, and what one call has shown of its reply."""

    body: bytes
    rows: int
    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    """Of the call that tried the request."""
    reply_bytes: int


def arrays_for(
    model: ModelInfo,
    *,
    rows: int = 1,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    given: Mapping[str, NDArray[Any]] | None = None,
    data: str = RANDOM,
) -> dict[str, NDArray[Any]]:
    """An array for every input of the model: the given one, else ``data`` in the shape that is given or follows.

    Where the model leaves the first axis open it gets ``rows``; other open axes get 32. The same arguments make the
    same numbers. Raises InputError for names that are no inputs, and for arrays and shapes that do not fit the model.
    """
    shapes, given = shapes or {}, given or {}
    known = {tensor.name: tensor for tensor in model.inputs}
    for name in (*shapes, *given):
        if name not in known:
            raise InputError(f"model '{model.name}' has no input '{name}'; it has {', '.join(known)}")
    random = np.random.default_rng(SEED)
    arrays = {}
    for name, tensor in known.items():
        if name in given:
            arrays[name] = given[name]
            _check(tensor, given[name].shape, tensors.datatype_of(given[name]))
            continue
        shape = shapes.get(name) or _usual_shape(tensor, rows)
        _check(tensor, shape, tensor.datatype)
        arrays[name] = _filled(tensor.datatype, shape, random if data == RANDOM else None)
    return arrays


def _usual_shape(tensor: TensorInfo, rows: int) -> tuple[int, ...]:
    return tuple(
        length if length >= 0 else rows if axis == 0 else DYNAMIC_AXIS for axis, length in enumerate(tensor.shape)
    )


def _check(tensor: TensorInfo, shape: tuple[int, ...], datatype: str) -> None:
    if not _fits(tensor, shape) or datatype != tensor.datatype:
        raise InputError(
            f"input '{tensor.name}' takes {tensor.datatype} {list(tensor.shape)}, not {datatype} {list(shape)}"
        )


def _fits(tensor: TensorInfo, shape: tuple[int, ...]) -> bool:
    return len(shape) == len(tensor.shape) and all(w in (-1, s) for w, s in zip(tensor.shape, shape, strict=True))


def _filled(datatype: str, shape: tuple[int, ...], random: np.random.Generator | None) -> NDArray[Any]:
    """Normal numbers, whole numbers of the lowest 7 bits, truth values or short texts; zeros without ``random``."""
    if datatype not in tensors.NUMPY_TYPES:
        raise InputError(f"datatype {datatype} cannot be made here; give the input as a .npy file")
    dtype = tensors.NUMPY_TYPES[datatype]
    if datatype == "BYTES":
        return np.full(shape, b"convserve", dtype)
    if random is None:
        return np.zeros(shape, dtype)
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    return random.integers(0, 2 if dtype.kind == "b" else 128, shape).astype(dtype)


def rows_of(model: ModelInfo, arrays: Mapping[str, NDArray[Any]]) -> int:
    """Length of axis 0 where every input and output leaves it open, so that it can count rows; else 1."""
    every = (*model.inputs, *model.outputs)
    if not every or any(not tensor.shape or tensor.shape[0] != -1 for tensor in every):
        return 1
    lengths = {array.shape[0] for array in arrays.values()}
    return lengths.pop() if len(lengths) == 1 else 1


def serialized(model: str, arrays: Mapping[str, NDArray[Any]], version: str = "") -> bytes:
    """A ModelInferRequest with raw contents."""
    request = oip.ModelInferRequest(model_name=model, model_version=version)
    for name, array in arrays.items():
        request.inputs.add(name=name, datatype=tensors.datatype_of(array), shape=array.shape)
        request.raw_input_contents.append(tensors.encode_raw(array))
    return request.SerializeToString()


def prepare(client: Client, model: ModelInfo, arrays: Mapping[str, NDArray[Any]], version: str = "") -> Prepared:
    """Serialize the request, and try it once before it is sent thousands of times.

    Raises a CallError where the server refuses it, and ReplyError where the reply is not what the metadata promises.
    """
    rows = rows_of(model, arrays)
    outputs = client.infer(model.name, arrays, version=version).outputs
    _verify(model, rows, outputs)
    body = serialized(model.name, arrays, version)
    reply = client.run(client.call(METHOD, body, bytes, None))
    return Prepared(body, rows, arrays, outputs, len(reply))


def _verify(model: ModelInfo, rows: int, outputs: Mapping[str, NDArray[Any]]) -> None:
    for tensor in model.outputs:
        if tensor.name not in outputs:
            raise ReplyError(f"the reply has no output '{tensor.name}'; it has {', '.join(outputs) or 'none'}")
        shape = outputs[tensor.name].shape
        if not _fits(tensor, shape) or (rows > 1 and shape[0] != rows):
            raise ReplyError(
                f"output '{tensor.name}' has shape {list(shape)} for {rows} rows, but the model's metadata promises "
                f"{list(tensor.shape)}"
            )
