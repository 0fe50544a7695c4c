"""A candidate: a module with all that its export and its proof need; SimpleCNN is one, the convolution another."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import dataclass

from convserve_proto import manifest_pb2
from torch import Tensor, nn

from convserve_export.cases import Array, Case, TensorSpec


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
    pictures: Array | None = None
    """Pictures to verify on, uint8 ``[N, 3, height, width]``; set with ``preprocessing``."""

    @property
    def fingerprint(self) -> str:
        """SHA-256, as 64 hexadecimal digits, of all that decides what the network computes and how it is used."""
        digest = hashlib.sha256("".join(_sources(self.module)).encode())
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


def _sources(module: nn.Module) -> list[str]:
    """The code of each class in a module that is not torch's own; of one without a file its name."""
    kinds = dict.fromkeys(type(part) for part in module.modules())
    sources = []
    for kind in kinds:
        if kind.__module__.partition(".")[0] == "torch" and kind is not type(module):
            continue
        try:
            sources.append(inspect.getsource(kind))
        except (OSError, TypeError):
            sources.append(kind.__qualname__)
    return sources
