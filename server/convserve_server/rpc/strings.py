"""BYTES as ONNX has them: text in UTF-8."""

from __future__ import annotations

import numpy as np
from convserve_proto.tensors import Array

from convserve_server.errors import InvalidRequest


def to_text(name: str, array: Array) -> Array:
    """An array of str from an array of bytes objects, in its shape.

    Raises InvalidRequest for an element that is not UTF-8: checked here, so that it cannot harm others of a batch.
    """
    text = np.empty(array.size, object)
    try:
        text[:] = [element.decode() for element in array.flat]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"input '{name}' has a BYTES element that is not UTF-8, as ONNX's are: {error}") from None
    return text.reshape(array.shape)
