"""SimpleCNN as a candidate: its signature, its preprocessing and the inputs that it is verified on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from convserve_proto import manifest_pb2
from torch import Tensor

from convserve_export.candidate import Candidate
from convserve_export.cases import Case, TensorSpec
from convserve_export.network import INPUT_SHAPE, SimpleCNN, expected_parameters
from convserve_export.preprocessing import HEIGHT, MEAN, SCALE, STD, WIDTH, normalize

BATCH_SIZES = (1, 2, 3, 7, 32, 64)
EXAMPLE_BATCH_SIZE = 4
"""None of BATCH_SIZES, and not 1, which torch would make a constant."""


def classifier(*, name: str, network: SimpleCNN, labels: Sequence[str], pictures: Tensor) -> Candidate:
    """A candidate that publishes ``network`` as ``name``; ``pictures`` are uint8 ``[N, 3, 32, 32]``, N at least 1."""
    return Candidate(
        name=name,
        task=manifest_pb2.TASK_IMAGE_CLASSIFICATION,
        module=network.eval(),
        inputs=(TensorSpec("input", "FP32", ("batch", *INPUT_SHAPE)),),
        outputs=(TensorSpec("logits", "FP32", ("batch", network.fc2.out_features)),),
        batched=True,
        example=(torch.randn(EXAMPLE_BATCH_SIZE, *INPUT_SHAPE, generator=torch.Generator().manual_seed(1)),),
        cases=verification_cases(pictures),
        expected_parameters=expected_parameters(network.fc2.out_features),
        labels=tuple(labels),
        preprocessing=manifest_pb2.ImagePreprocessing(
            height=HEIGHT, width=WIDTH, color_order="RGB", layout="NCHW", scale=SCALE, mean=MEAN, std=STD
        ),
        pictures=pictures.numpy(),
    )


def verification_cases(pictures: Tensor) -> tuple[Case, ...]:
    """Random inputs, zeros, extremes and pictures, each in every batch size."""
    generator = torch.Generator().manual_seed(2)
    most = max(BATCH_SIZES)
    kinds = {
        "random": torch.randn(most, *INPUT_SHAPE, generator=generator),
        "zeros": torch.zeros(most, *INPUT_SHAPE),
        "extremes": _extremes(most, generator),
        "pictures": normalize(_varied(pictures, most)),
    }
    return tuple(
        Case(kind, rows, {"input": tensor[:rows].numpy()}) for kind, tensor in kinds.items() for rows in BATCH_SIZES
    )


def _extremes(count: int, generator: torch.Generator) -> Tensor:
    """In turn: black, white, a chessboard, noise of the two, and numbers far outside of what pictures can be."""
    shape = INPUT_SHAPE
    chessboard = (torch.arange(shape[1])[:, None] + torch.arange(shape[2])) % 2 * 255
    rows = []
    for i in range(count):
        noise = torch.randint(0, 2, shape, generator=generator) * 255
        pixels = (torch.zeros(shape), torch.full(shape, 255), chessboard.expand(shape), noise, noise)[i % 5]
        normalized = normalize(pixels[None].to(torch.uint8))
        rows.append(normalized * 1000 if i % 5 == 4 else normalized)
    return torch.cat(rows)


def _varied(pictures: Tensor, count: int) -> Tensor:
    """``count`` pictures that all differ: the given ones, then mirrored, then shifted ever further."""
    rows = []
    for i in range(count):
        again, index = divmod(i, len(pictures))
        picture = pictures[index]
        rows.append(torch.roll(picture.flip(2) if again % 2 else picture, shifts=again // 2, dims=2))
    return torch.stack(rows)
