"""Counting learned numbers: by layer and in all."""

from __future__ import annotations

from dataclasses import dataclass

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


def foldable(module: nn.Module) -> dict[str, int]:
    """Parameters of batch normalizations, name to count: an exporter may fold them into the layers before."""
    return {
        f"{name}.{own}": parameter.numel()
        for name, part in module.named_modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
        for own, parameter in part.named_parameters(recurse=False)
    }


def count_module(module: nn.Module) -> int:
    """All parameters of a module, eager or TorchScript."""
    return sum(p.numel() for p in module.parameters())
