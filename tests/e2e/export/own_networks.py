"""Networks as users have them, good ones and bad ones; --factory names their functions."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TwoByTwo(nn.Module):
    """Two inputs, two outputs, an axis of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(3, 2)
        self.shared = nn.Linear(2, 2)

    def forward(self, image: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        # image [batch, 3, width], weights [batch, 2]
        seen = self.left(image.transpose(1, 2))  # [batch, width, 2]
        return seen, self.shared(weights) + seen.mean(1)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.sum() > 0 else x


class NoTensor(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": x}


class Frozen(nn.Module):
    """Works with 4 rows only."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(4, -1)


class Mixing(nn.Module):
    """A row's output depends on the rows beside it."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True)


class Pooled(nn.Module):
    """Rows become one."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(0, keepdim=True)


def two_by_two() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TwoByTwo()


def nan_weights() -> nn.Module:
    network = TwoByTwo()
    nn.init.constant_(network.shared.bias, float("nan"))
    return network


def no_module() -> int:
    return 7


def fails() -> nn.Module:
    raise ValueError("no such file: weights.bin")
