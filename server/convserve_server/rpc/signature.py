"""A model's inputs and outputs, prepared for checking requests and building replies."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from convserve_proto.open_inference import ModelInferResponse
from convserve_proto.tensors import NUMPY_TYPES, Array, TensorError, decode_contents, decode_raw, encode_raw
from convserve_proto.wire import length_prefix

from convserve_server.engine.model import Answer, Description, TensorSpec
from convserve_server.errors import InvalidRequest
from convserve_server.rpc.strings import to_text

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import ModelInferRequest


RAW_OUTPUT_CONTENTS = 6
"""The field number of ModelInferResponse.raw_output_contents."""
MOST_SHAPES = 1024


class Signature:
    """Turns requests for one model into its inputs, and its outputs into replies."""

    def __init__(self, description: Description) -> None:
        self._model = description.name
        self._version = str(description.version)
        self._batched = description.batched
        self._inputs = description.inputs
        self._places = {spec.name: i for i, spec in enumerate(description.inputs)}
        self._outputs = description.outputs
        self._output_places = {spec.name: i for i, spec in enumerate(description.outputs)}
        self._all_outputs = tuple(range(len(description.outputs)))
        head = ModelInferResponse(model_name=self._model, model_version=self._version)
        if description.precision:
            head.parameters["precision"].string_param = description.precision
        self._head = head.SerializeToString()
        self._described: dict[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]], bytes] = {}

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the model's order."""
        return tuple(self._places)

    @staticmethod
    def fixed_size_type(datatype: str) -> np.dtype[Any] | None:
        """The numpy type of a datatype whose raw contents may be used as they come; None for BYTES and BOOL."""
        return None if datatype in ("BYTES", "BOOL") else NUMPY_TYPES[datatype]

    def inputs(self, request: ModelInferRequest) -> tuple[Array, ...]:
        """The request's inputs in the model's order; raw contents are not copied.

        Raises InvalidRequest with a sentence that names the input, what was sent and what was expected.
        """
        raw = request.raw_input_contents
        sent = request.inputs
        self._check_names([i.name for i in sent])
        if raw and len(raw) != len(sent):
            raise InvalidRequest(
                f"raw_input_contents has {len(raw)} entries for {len(sent)} inputs of model '{self._model}'; "
                "send one for each input, in their order"
            )
        arrays: list[Array | None] = [None] * len(self._inputs)
        for index, tensor in enumerate(sent):
            place = self._places[tensor.name]
            shape = tuple(tensor.shape)
            self._check(self._inputs[place], tensor.datatype, shape)
            try:
                if raw:
                    if tensor.HasField("contents"):
                        raise InvalidRequest(
                            "contents field must not be specified when using raw_input_contents for "
                            f"'{tensor.name}' for model '{self._model}'"
                        )
                    array = decode_raw(tensor.name, tensor.datatype, shape, raw[index])
                else:
                    array = decode_contents(tensor.name, tensor.datatype, shape, tensor.contents)
            except TensorError as error:
                raise InvalidRequest(f"{error}; model '{self._model}'") from None
            arrays[place] = to_text(tensor.name, array) if tensor.datatype == "BYTES" else array
        decoded = tuple(a for a in arrays if a is not None)
        if self._batched:
            self._check_rows(decoded)
        return decoded

    def _check_names(self, names: list[str]) -> None:
        if len(names) == len(self._places) and all(n in self._places for n in names) and len(set(names)) == len(names):
            return
        expected = ", ".join(f"'{n}'" for n in self._places)
        got = ", ".join(f"'{n}'" for n in names) or "none"
        counts = f"expected {len(self._places)} inputs but got {len(names)} inputs"
        if len(names) == len(self._places):
            counts = "unexpected input names"
        raise InvalidRequest(
            f"{counts} for model '{self._model}': it takes {expected}, each once; the request has {got}"
        )

    def _check(self, spec: TensorSpec, datatype: str, shape: tuple[int, ...]) -> None:
        if datatype != spec.datatype:
            raise InvalidRequest(
                f"inference input '{spec.name}' data-type is '{datatype}', "
                f"but model '{self._model}' expects '{spec.datatype}'"
            )
        fits = len(shape) == len(spec.shape) and all(
            got >= 0 and want in (-1, got) for got, want in zip(shape, spec.shape, strict=True)
        )
        if not fits:
            raise InvalidRequest(
                f"unexpected shape for input '{spec.name}' for model '{self._model}'. "
                f"Expected {_text(spec.shape)}, got {_text(shape)}"
            )

    def _check_rows(self, arrays: tuple[Array, ...]) -> None:
        rows = {len(a) for a in arrays}
        if 0 in rows:
            raise InvalidRequest(f"the request has 0 rows for model '{self._model}'; send at least one")
        if len(rows) > 1:
            sizes = ", ".join(f"'{s.name}' has {len(a)}" for s, a in zip(self._inputs, arrays, strict=True))
            raise InvalidRequest(f"all inputs of model '{self._model}' take the same number of rows, but {sizes}")

    def requested(self, request: ModelInferRequest) -> tuple[int, ...]:
        """The place of each output to reply with: those that the request names, in its order, or all.

        Raises InvalidRequest for an unknown or repeated name. Parameters of outputs are none of its business.
        """
        if not request.outputs:
            return self._all_outputs
        chosen = []
        for output in request.outputs:
            if output.name not in self._output_places:
                have = ", ".join(f"'{n}'" for n in self._output_places)
                raise InvalidRequest(
                    f"unexpected inference output '{output.name}' for model '{self._model}'; it has {have}"
                )
            chosen.append(self._output_places[output.name])
        if len(set(chosen)) != len(chosen):
            raise InvalidRequest(f"an output is requested more than once from model '{self._model}'")
        return tuple(chosen)

    def reply(self, request_id: str, places: tuple[int, ...], answer: Answer) -> bytes:
        """The serialized ModelInferResponse, with raw contents.

        Messages that are written one behind the other are read as one, so the parts that are always the same are
        serialized once, and the contents are copied only once.
        """
        arrays = [answer.outputs[place] for place in places]
        shapes = tuple([array.shape for array in arrays])
        described = self._described.get((places, shapes)) or self._describe(places, shapes)
        parts = [self._head, described]
        if request_id:
            parts.insert(1, ModelInferResponse(id=request_id).SerializeToString())
        for array in arrays:
            raw = encode_raw(array)
            parts.append(_raw_prefix(len(raw)))
            parts.append(raw)
        return b"".join(parts)

    def _describe(self, places: tuple[int, ...], shapes: tuple[tuple[int, ...], ...]) -> bytes:
        response = ModelInferResponse()
        for place, shape in zip(places, shapes, strict=True):
            spec = self._outputs[place]
            response.outputs.add(name=spec.name, datatype=spec.datatype, shape=shape)
        if len(self._described) >= MOST_SHAPES:
            self._described.clear()
        described = self._described[places, shapes] = response.SerializeToString()
        return described


@functools.lru_cache(1024)
def _raw_prefix(size: int) -> bytes:
    return length_prefix(RAW_OUTPUT_CONTENTS, size)


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(str(d) for d in shape) + "]"
