"""Named tensors: what a network takes and gives, and the inputs that its forms are compared on. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = Mapping[str, Array]
"""Arrays by the names of inputs or outputs."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. In ``dims`` a number is a fixed length and a word names an axis of any length."""

    name: str
    datatype: str
    """The Open Inference Protocol's name, such as FP32."""
    dims: tuple[int | str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths, with -1 for an axis of any length."""
        return tuple(d if isinstance(d, int) else -1 for d in self.dims)


@dataclass(frozen=True)
class Case:
    """Inputs on which all forms of a candidate must agree."""

    kind: str
    """Such as "random" or "zeros"; where the model is not batched it also names the sizes."""
    rows: int
    """Batch size; 0 where the model is not batched."""
    inputs: Tensors

    def __str__(self) -> str:
        return f"{self.kind}, batch size {self.rows}" if self.rows else self.kind
