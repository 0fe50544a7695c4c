"""How a picture becomes the input of SimpleCNN: the numbers that training, verification and the manifest share."""

from __future__ import annotations

import torch
from convserve_proto import manifest_pb2
from torch import Tensor

HEIGHT = WIDTH = 32
SCALE = 255.0
"""A pixel is divided by this first."""
MEAN = (0.4914, 0.4822, 0.4465)
"""Mean of the CIFAR-10 training pictures: red, green, blue, after the division."""
STD = (0.2470, 0.2435, 0.2616)
"""Their standard deviation."""


def normalize_by(images: Tensor, preprocessing: manifest_pb2.ImagePreprocessing) -> Tensor:
    """uint8 ``[N, 3, H, W]`` to float32, as :func:`normalize` does, with numbers of another network."""
    mean = torch.tensor(list(preprocessing.mean)).reshape(1, 3, 1, 1)
    std = torch.tensor(list(preprocessing.std)).reshape(1, 3, 1, 1)
    return (images.float() / preprocessing.scale - mean) / std


def normalize(images: Tensor) -> Tensor:
    """uint8 ``[N, 3, H, W]`` to float32: divided by SCALE, minus MEAN, over STD, channel by channel."""
    mean = torch.tensor(MEAN).reshape(1, 3, 1, 1)
    std = torch.tensor(STD).reshape(1, 3, 1, 1)
    return (images.float() / SCALE - mean) / std
