"""Triton's classification extension: an output's best classes as text, in place of its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from convserve_proto.tensors import Array

from convserve_server.errors import InvalidRequest, TooLarge

MOST_ELEMENTS = 1_000_000
UNSUPPORTED = ("BYTES", "BF16", "FP16", "BOOL")


def classify(output: Array, classes: int, labels: Sequence[str], *, batched: bool) -> Array:
    """The best ``classes`` of an output as text "value:index" or "value:index:label", best first.

    ``output`` is [rows, ...] where ``batched``, and the rest of its axes are taken as one. The answer has the shape
    [rows, k], or [k] where not batched, with k the smaller of ``classes`` and the numbers of a row. Of equal values,
    the one with the lower index is first. An index without a label has none.

    Raises TooLarge where the answer would have too many elements.
    """
    rows = output.reshape(len(output), -1) if batched else output.reshape(1, -1)
    k = min(classes, rows.shape[1])
    if rows.shape[0] * k > MOST_ELEMENTS:
        raise TooLarge(
            f"a classification of {rows.shape[0]} x {k} elements was asked for; at most {MOST_ELEMENTS} are made"
        )
    # Sorted from the back, so that of equal values the lower index comes first.
    order = np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :k]
    best = rows.shape[1] - 1 - order
    text = np.empty(best.shape, object)
    for place, index in np.ndenumerate(best):
        text[place] = _entry(rows[place[0], index], int(index), labels)
    return text if batched else text[0]


def _entry(value: np.generic, index: int, labels: Sequence[str]) -> str:
    # As C++ prints it: six decimals for floating point, none for whole numbers.
    number = f"{float(value):f}" if np.issubdtype(value.dtype, np.floating) else str(int(value))
    label = f":{labels[index]}" if index < len(labels) else ""
    return f"{number}:{index}{label}"


def check_datatype(output: str, datatype: str) -> None:
    """Raise InvalidRequest for a datatype that has no classes."""
    if datatype in UNSUPPORTED:
        raise InvalidRequest(f"class result not available for output '{output}' due to unsupported type '{datatype}'")
