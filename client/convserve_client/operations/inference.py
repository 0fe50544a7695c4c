"""Tensors in, tensors out: one call of any model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from convserve_proto import open_inference as oip
from convserve_proto import tensors
from numpy.typing import ArrayLike, NDArray

from convserve_client.errors import InputError, ReplyError
from convserve_client.link import Link
from convserve_client.results import InferResult
from convserve_client.steps import Steps

if TYPE_CHECKING:
    from convserve_proto.open_inference import ModelInferResponse


def infer(
    link: Link,
    model: str,
    inputs: Mapping[str, ArrayLike],
    *,
    outputs: Sequence[str] | None = None,
    version: str = "",
    request_id: str = "",
    timeout: float | None = None,
) -> Steps[InferResult]:
    """Run ``model`` once on ``inputs``, arrays by input name, axis 0 counting rows where the model is batched.

    The arrays are sent with the type that they have: nothing is converted. ``outputs`` names those that are wanted,
    None means all. ``version`` empty means the newest that is ready. ``request_id`` comes back in the result.

    Raises InputError for an array whose type the protocol does not have, NotFound for an unknown model or version,
    and InvalidArgument, with what would fit, for inputs that the model does not take.
    """
    request = _request(model, inputs, outputs, version, request_id)
    return (yield from link.call(f"/{oip.SERVICE}/ModelInfer", request, _result, timeout))


def _request(
    model: str, inputs: Mapping[str, ArrayLike], outputs: Sequence[str] | None, version: str, request_id: str
) -> bytes:
    if isinstance(outputs, str):
        raise InputError(f"outputs is the text '{outputs}', but a list of names is needed, such as ['{outputs}']")
    request = oip.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, values in inputs.items():
        array = np.asarray(values)
        try:
            datatype = tensors.datatype_of(array)
        except tensors.TensorError as error:
            raise InputError(f"input '{name}': {error}") from error
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(tensors.encode_raw(array))
    for name in outputs or ():
        request.outputs.add(name=name)
    return request.SerializeToString()


def _result(payload: bytes) -> InferResult:
    response = oip.ModelInferResponse.FromString(payload)
    return InferResult(
        outputs=_outputs(response),
        model_name=response.model_name,
        model_version=response.model_version,
        request_id=response.id,
        parameters={
            key: getattr(value, value.WhichOneof("parameter_choice") or "bool_param")
            for key, value in response.parameters.items()
        },
    )


def _outputs(response: ModelInferResponse) -> dict[str, NDArray[Any]]:
    raws = response.raw_output_contents
    if raws and len(raws) != len(response.outputs):
        raise ReplyError(f"the reply has {len(response.outputs)} outputs, but raw contents for {len(raws)}")
    arrays: dict[str, NDArray[Any]] = {}
    for index, output in enumerate(response.outputs):
        name, datatype, shape = output.name, output.datatype, tuple(output.shape)
        if len(shape) > tensors.MOST_AXES:
            raise ReplyError(f"output '{name}' of the reply has {len(shape)} axes, which this client cannot read")
        if datatype not in tensors.NUMPY_TYPES or min(shape, default=0) < 0:
            raise ReplyError(f"output '{name}' of the reply is {datatype} {list(shape)}, which this client cannot read")
        try:
            if raws:
                arrays[name] = _raw(name, datatype, shape, raws[index])
            else:
                arrays[name] = tensors.decode_contents(name, datatype, shape, output.contents)
        except tensors.TensorError as error:
            raise ReplyError(f"output '{name}' of the reply does not hold what it says: {error}") from error
    return arrays


def _raw(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> NDArray[Any]:
    expected = math.prod(shape) * tensors.NUMPY_TYPES[datatype].itemsize
    if datatype != "BYTES" and len(raw) != expected:
        raise ReplyError(
            f"output '{name}' of the reply has {len(raw)} bytes, but {datatype} {list(shape)} takes {expected}"
        )
    return tensors.decode_raw(name, datatype, shape, raw)
