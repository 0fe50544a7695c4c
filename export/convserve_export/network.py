"""SimpleCNN, the network that convserve ships: three convolutions and two fully connected layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_SHAPE = (3, 32, 32)
"""Channels, height and width of one input image."""


class SimpleCNN(nn.Module):
    """Classify 32x32 RGB images.

    Input: float32 ``[N, 3, 32, 32]``, normalized pixels. Output: float32 ``[N, num_classes]`` logits
    (no softmax). Dropout is active in training mode only.
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes is {num_classes}; a classifier needs at least 1")
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(128 * 4 * 4, 512)
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))  # [N, 32, 16, 16]
        x = self.pool(F.relu(self.conv2(x)))  # [N, 64, 8, 8]
        x = self.pool(F.relu(self.conv3(x)))  # [N, 128, 4, 4]
        x = torch.flatten(x, 1)  # [N, 2048]
        x = self.dropout(F.relu(self.fc1(x)))  # [N, 512]
        return self.fc2(x)  # type: ignore[no-any-return]  # [N, num_classes]


def expected_parameters(num_classes: int) -> int:
    """Parameters of :class:`SimpleCNN` by formula: weights plus biases, layer by layer.

    A convolution has ``out * (in * 3 * 3) + out``, a fully connected layer ``out * in + out``.
    With 10 classes: 896 + 18,496 + 73,856 + 1,049,088 + 5,130 = 1,147,466.
    """
    convolutions = sum(o * i * 9 + o for i, o in ((3, 32), (32, 64), (64, 128)))
    return convolutions + (512 * 2048 + 512) + (num_classes * 512 + num_classes)
