"""How well ONNX files classify labelled pictures: accuracy, agreement, confusion. The gates of variants rest on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convserve_export.cases import Array
from convserve_export.errors import BadInput
from convserve_export.pictures import Pictures
from convserve_export.speed import session

BATCH_SIZE = 250
MOST_CALIBRATION = 512


@dataclass(frozen=True)
class Material:
    """Pictures to calibrate with and, apart from them, to judge by."""

    calibration: Array
    """uint8 ``[N, height, width, 3]``; labels are not needed."""
    pixels: Array
    """uint8 ``[M, height, width, 3]``."""
    labels: Array
    """int64 ``[M]``."""

    @property
    def classes(self) -> int:
        """One more than the largest label."""
        return int(self.labels.max()) + 1


def material(pictures: Pictures, calibration: Tensor | None, labels: tuple[str, ...]) -> Material:
    """Split labelled pictures: without ``calibration`` every tenth is taken out for it, and judges nothing.

    Raises BadInput where the pictures are of other classes than the network, or too few to judge by.
    """
    if pictures.classes != labels and sorted(pictures.classes) == sorted(labels):
        order = torch.tensor([labels.index(c) for c in pictures.classes])
        pictures = Pictures(pictures.images, order[pictures.labels], labels)
    if pictures.classes != labels:
        raise BadInput(
            f"--evaluate has pictures of the classes {', '.join(pictures.classes)}; the network has {', '.join(labels)}"
        )
    images, classes = pictures.images, pictures.labels
    if calibration is None:
        spare = torch.arange(len(images)) % 10 == 0
        calibration, images, classes = images[spare], images[~spare], classes[~spare]
    if len(images) < 100:
        raise BadInput(
            f"--evaluate has {len(images)} pictures to judge by; give at least 100 (some 1,000 tell 0.3 points apart)"
        )
    return Material(_rows(calibration[:MOST_CALIBRATION]), _rows(images), classes.numpy())


def _rows(images: Tensor) -> Array:
    return np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1))


def logits(graph: bytes, pixels: Array) -> Array:
    """What an ONNX file that takes pixels answers, float32 ``[N, classes]``."""
    loaded = session(graph)
    name = loaded.get_inputs()[0].name
    return np.concatenate(
        [loaded.run(None, {name: pixels[i : i + BATCH_SIZE]})[0] for i in range(0, len(pixels), BATCH_SIZE)]
    )


@dataclass(frozen=True)
class Judgement:
    """How one file did."""

    accuracy: float
    """Share of pictures whose best class is the right one."""
    agreement: float
    """Share of pictures with the same best class as in fp32."""
    confusion: tuple[tuple[int, ...], ...]
    """Pictures by [true class][best class]."""


def judge(answers: Array, reference: Array, labels: Array) -> Judgement:
    """Judge ``answers`` beside those of fp32, both ``[N, classes]``."""
    best, expected = answers.argmax(axis=1), reference.argmax(axis=1)
    count = answers.shape[1]
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (labels, best), 1)
    return Judgement(
        float((best == labels).mean()), float((best == expected).mean()), tuple(tuple(r) for r in confusion.tolist())
    )
