"""Requests of the Open Inference Protocol, from numpy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from convserve_proto import open_inference as oip
from convserve_proto.tensors import Array, datatype_of, decode_raw, encode_raw

SERVICE = "/inference.GRPCInferenceService/"


def infer_request(model: str, inputs: dict[str, Any], datatypes: dict[str, str] | None = None, **fields: Any) -> Any:
    """A ModelInferRequest with raw contents; ``datatypes`` where numpy's type does not say (BF16)."""
    request = oip.ModelInferRequest(model_name=model, **fields)
    for name, value in inputs.items():
        array = np.asarray(value)
        datatype = (datatypes or {}).get(name) or ("BYTES" if array.dtype == object else datatype_of(array))
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(encode_raw(array))
    return request


def outputs_of(response: Any) -> dict[str, Array]:
    """The outputs of a ModelInferResponse by name."""
    return {
        output.name: decode_raw(output.name, output.datatype, tuple(output.shape), raw)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def parameter(value: bool | int | float | str) -> Any:
    """An InferParameter."""
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    message = oip.InferParameter()
    setattr(message, kinds[type(value)], value)
    return message
