"""A candidate: a module with all that its export and its proof need; SimpleCNN is one, the convolution another."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convserve_proto import manifest_pb2
from numpy.typing import NDArray
from torch import Tensor, nn

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


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network that is published if it proves itself. ``module`` is in evaluation mode, on the CPU."""

    name: str
    task: manifest_pb2.Task
    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    """In the order of the arguments of ``module.forward``, and named as they are."""
    outputs: tuple[TensorSpec, ...]
    batched: bool
    """True where axis 0 of every input and output counts rows that do not depend on each other."""
    example: tuple[Tensor, ...]
    """What it is traced with. No axis of any length may have length 0 or 1 here: torch would fix it."""
    cases: tuple[Case, ...]
    """At sizes other than the example's."""
    expected_parameters: int
    """By formula, not by counting the module."""
    labels: tuple[str, ...] = ()
    preprocessing: manifest_pb2.ImagePreprocessing | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256, as 64 hexadecimal digits, of all that decides what the network computes and how it is used."""
        digest = hashlib.sha256(inspect.getsource(type(self.module)).encode())
        about = {
            "task": int(self.task),
            "inputs": [[s.name, s.datatype, s.shape] for s in self.inputs],
            "outputs": [[s.name, s.datatype, s.shape] for s in self.outputs],
            "batched": self.batched,
            "labels": self.labels,
            "preprocessing": str(self.preprocessing),
        }
        digest.update(json.dumps(about, sort_keys=True).encode())
        for name, tensor in self.module.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.numpy(force=True).tobytes())
        return digest.hexdigest()
