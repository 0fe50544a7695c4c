"""Counting learned numbers: in a module, in a TorchScript file and in an ONNX graph."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from torch import nn


@dataclass(frozen=True)
class Layer:
    """A submodule that has parameters of its own."""

    name: str
    kind: str
    """Its class, such as Conv2d."""
    count: int
    trainable: int


def layers(module: nn.Module) -> list[Layer]:
    """Every submodule with parameters of its own, in order; a parameter that two share counts once."""
    seen: set[int] = set()
    found = []
    for name, part in module.named_modules():
        own = [p for p in part.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        if own:
            trainable = sum(p.numel() for p in own if p.requires_grad)
            found.append(Layer(name, type(part).__name__, sum(p.numel() for p in own), trainable))
    return found


def count_module(module: nn.Module) -> int:
    """All parameters of a module, eager or TorchScript."""
    return sum(p.numel() for p in module.parameters())


def count_onnx(model: onnx.ModelProto, names: Iterable[str]) -> int:
    """Numbers in those initializers that are parameters by name: an exporter adds constants of its own."""
    wanted = set(names)
    return sum(math.prod(i.dims) for i in model.graph.initializer if i.name in wanted)
