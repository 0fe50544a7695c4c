"""A candidate as a torch.export program: the one trace that both the .pt2 file and the ONNX graph are made from.

model.pt2 is what PyTorch itself offers in place of TorchScript: ``torch.export.load(FILE).module(check_guards=False)``
runs it, and AOTInductor and ExecuTorch compile it.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from convserve_export.candidate import Candidate
from convserve_export.cases import TensorSpec
from convserve_export.check import first_line
from convserve_export.errors import BadInput

FORGOTTEN = ("stack_trace",)
"""Entries of a node's metadata that name files of this machine."""


def to_program(candidate: Candidate) -> ExportedProgram:
    """Trace the module with free axes where the signature has them. Nothing of this machine is left in it.

    Raises BadInput where the module cannot be traced.
    """
    try:
        # torch prints the graph of what it cannot trace; the error says all that a user can act on.
        with redirect_stderr(io.StringIO()):
            program = torch.export.export(
                candidate.module, candidate.example, dynamic_shapes=dynamic_shapes(candidate.inputs), strict=False
            )
    except Exception as error:  # torch raises what its tracer meets: a dozen kinds of errors
        raise BadInput(
            f"{candidate.name} cannot be traced by torch.export; its forward must not branch on the values of tensors, "
            f"nor need a certain batch size: {first_line(error)}"
        ) from error
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for key in FORGOTTEN:
                    node.meta.pop(key, None)
    return program


def to_pt2(program: ExportedProgram) -> bytes:
    """The bytes of a .pt2 file; the same for the same candidate."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def load_pt2(path: Path) -> nn.Module:
    """The module in a .pt2 file. Raises whatever torch raises where the file is damaged.

    Without torch's guards: some only tell apart memory layouts that give the same numbers, such as those of a response
    of 1 x 1, and would refuse inputs on which the program is right. What it gives is compared at all sizes instead.
    """
    return torch.export.load(path).module(check_guards=False)


def dynamic_shapes(inputs: tuple[TensorSpec, ...]) -> tuple[dict[int, Dim], ...]:
    """For each input, its axes of any length. Axes of one name have one length, so they share one Dim."""
    named = {word: Dim(word) for spec in inputs for word in spec.dims if isinstance(word, str)}
    return tuple({i: named[d] for i, d in enumerate(s.dims) if isinstance(d, str)} for s in inputs)
