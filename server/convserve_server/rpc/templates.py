"""Recognizes requests that differ from an earlier one only in the numbers of their tensors.

A client that calls a model again and again sends the same bytes each time, but for the raw contents at their end:
names, datatypes, shapes and lengths stay. Such a request needs no parsing, no checks and no copy: everything about it
was decided when the first of its kind came in, and its tensors are views of the received bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from convserve_proto.tensors import Array
from convserve_proto.wire import length_prefix

from convserve_server.rpc.signature import Signature

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import ModelInferRequest

RAW_INPUT_CONTENTS = 7
"""The field number of ModelInferRequest.raw_input_contents."""
MOST_TEMPLATES = 256
LONGEST_PREFIX = 4096


@dataclass(frozen=True)
class Template:
    """What is known of a kind of request."""

    model_name: str
    model_version: str
    signature: Signature
    outputs: tuple[int, ...]
    prefix_size: int
    glue: tuple[tuple[int, int, bytes], ...]
    """Start, end and content of the bytes between the tensors."""
    tensors: tuple[tuple[int, int, np.dtype[np.generic], tuple[int, ...]], ...]
    """Offset, number of elements, type and shape of each input, in the model's order."""

    def inputs(self, payload: bytes) -> tuple[Array, ...]:
        """The inputs in ``payload``, without a copy."""
        return tuple(
            np.frombuffer(payload, dtype, count, offset).reshape(shape) for offset, count, dtype, shape in self.tensors
        )


class Templates:
    """The templates of the requests seen so far. Safe to use from several threads: entries are only ever replaced."""

    def __init__(self) -> None:
        # The length of a request nearly always tells where its numbers begin; the bytes before them are compared.
        self._prefix_sizes: dict[int, int] = {}
        self._templates: dict[tuple[int, bytes], Template] = {}

    def find(self, payload: bytes) -> Template | None:
        """The template that ``payload`` fits, if any."""
        size = self._prefix_sizes.get(len(payload))
        if size is None:
            return None
        template = self._templates.get((len(payload), payload[:size]))
        if template is not None:
            for start, end, content in template.glue:
                if payload[start:end] != content:
                    return None
        return template

    def remember(
        self, payload: bytes, request: ModelInferRequest, signature: Signature, outputs: tuple[int, ...]
    ) -> None:
        """Make a template of a request that has passed all checks, where its kind can have one."""
        template = _template(payload, request, signature, outputs)
        if template is None:
            return
        if len(self._templates) >= MOST_TEMPLATES:
            self._templates.clear()
            self._prefix_sizes.clear()
        self._templates[len(payload), payload[: template.prefix_size]] = template
        self._prefix_sizes[len(payload)] = template.prefix_size


def _template(
    payload: bytes, request: ModelInferRequest, signature: Signature, outputs: tuple[int, ...]
) -> Template | None:
    # An id is most likely another one next time, and parameters are looked at each time.
    if request.id or request.parameters or any(t.parameters for t in request.inputs):
        return None
    glue: list[tuple[int, int, bytes]] = []
    tensors = {}
    end = len(payload)
    for tensor, raw in zip(reversed(request.inputs), reversed(request.raw_input_contents), strict=False):
        dtype = signature.fixed_size_type(tensor.datatype)
        header = length_prefix(RAW_INPUT_CONTENTS, len(raw))
        start = end - len(raw)
        before = start - len(header)
        # Whether the tensors really lie at the end, in this order, is seen in the bytes themselves.
        if dtype is None or before < 0 or payload[before:start] != header or payload[start:end] != raw:
            return None
        tensors[tensor.name] = (start, len(raw) // dtype.itemsize, dtype, tuple(tensor.shape))
        glue.append((before, start, header))
        end = before
    if len(tensors) != len(signature.input_names) or end > LONGEST_PREFIX:
        return None
    return Template(
        request.model_name,
        request.model_version,
        signature,
        outputs,
        end,
        tuple(glue),
        tuple(tensors[name] for name in signature.input_names),
    )
