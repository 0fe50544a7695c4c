"""The forms of one network that are compared: the eager module, and its files in torch and in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import onnxruntime
import torch
from torch import Tensor, nn

from convserve_export.candidate import Candidate
from convserve_export.cases import Array, Tensors
from convserve_export.program import load_pt2
from convserve_export.torchscript import load_torchscript


class Form(Protocol):
    """A network that can be run."""

    @property
    def name(self) -> str:
        """Such as "onnxruntime"."""

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Outputs by name. Raises whatever its runtime raises."""


class ModuleForm:
    """A module of torch, eager or TorchScript, called with the inputs in the order of the signature."""

    def __init__(self, name: str, module: nn.Module, candidate: Candidate) -> None:
        self.name = name
        self._module = module
        self._inputs = [s.name for s in candidate.inputs]
        self._outputs = [s.name for s in candidate.outputs]

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """See Form.run."""
        with torch.inference_mode():
            result = self._module(*(torch.from_numpy(inputs[name]) for name in self._inputs))
        outputs = (result,) if isinstance(result, Tensor) else tuple(result)
        return {name: output.numpy() for name, output in zip(self._outputs, outputs, strict=True)}


class RuntimeForm:
    """An ONNX file in ONNX Runtime, on the CPU with one thread: slower than it could be, and the same every time."""

    def __init__(self, model: Path | bytes, name: str = "onnxruntime") -> None:
        self.name = name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._outputs = [o.name for o in self._session.get_outputs()]

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """See Form.run."""
        return dict(zip(self._outputs, self._session.run(None, dict(inputs)), strict=True))


def eager(candidate: Candidate) -> ModuleForm:
    """What every other form is compared with."""
    return ModuleForm("eager", candidate.module, candidate)


def torchscript(candidate: Candidate, path: Path) -> ModuleForm:
    """The TorchScript file at ``path``. Raises RuntimeError where it is damaged."""
    return ModuleForm("torchscript", load_torchscript(path), candidate)


def pt2(candidate: Candidate, path: Path) -> ModuleForm:
    """The torch.export file at ``path``. Raises whatever torch raises where it is damaged."""
    return ModuleForm("torch.export", load_pt2(path), candidate)
