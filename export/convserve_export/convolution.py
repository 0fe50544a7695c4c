"""The convolution demo as a candidate: image and kernel are both inputs, so one graph serves every kernel."""

from __future__ import annotations

import torch
from convserve_proto import manifest_pb2
from torch import Tensor, nn
from torch.nn import functional as F

from convserve_export.candidate import Candidate
from convserve_export.cases import Case, TensorSpec

NAME = "convolve"
SIZES = (
    # channels, height, width, kernel height, kernel width
    (1, 5, 5, 3, 3),
    (3, 5, 5, 3, 3),
    (1, 1, 1, 1, 1),
    (3, 8, 6, 1, 1),
    (1, 8, 6, 2, 4),
    (3, 7, 9, 7, 9),
    (1, 33, 20, 1, 5),
    (2, 33, 20, 6, 1),
    (3, 64, 48, 5, 5),
)


class Convolve(nn.Module):
    """Slide a kernel over each channel of an image, without padding, step by step of 1.

    ``image`` float32 ``[C, H, W]`` and ``kernel`` float32 ``[h, w]`` with h <= H and w <= W give the response, float32
    ``[C, H-h+1, W-w+1]``: ``response[c, y, x] = sum over i, j of image[c, y+i, x+j] * kernel[i, j]``. This is
    cross-correlation; a convolution in the mathematical sense is the same with the kernel flipped on both axes.
    """

    def forward(self, image: Tensor, kernel: Tensor) -> Tensor:
        # Channels become rows of a batch with one channel each, so that none is summed over.
        return F.conv2d(image[:, None], kernel[None, None])[:, 0]


def convolution() -> Candidate:
    """The demo as a candidate. It is not batched: images of one batch could not differ in size."""
    return Candidate(
        name=NAME,
        task=manifest_pb2.TASK_CONVOLUTION,
        module=Convolve().eval(),
        inputs=(
            TensorSpec("image", "FP32", ("channels", "height", "width")),
            TensorSpec("kernel", "FP32", ("kernel_height", "kernel_width")),
        ),
        outputs=(TensorSpec("response", "FP32", ("channels", "response_height", "response_width")),),
        batched=False,
        example=(torch.ones(4, 11, 13), torch.ones(3, 2)),
        cases=verification_cases(),
        expected_parameters=0,
    )


def verification_cases() -> tuple[Case, ...]:
    """Random numbers, zeros, and the extremes of pixels, each at every one of SIZES."""
    generator = torch.Generator().manual_seed(3)
    cases = []
    for channels, height, width, *kernel in SIZES:
        image = torch.randn(channels, height, width, generator=generator)
        weights = torch.randn(*kernel, generator=generator)
        size = f"{channels}x{height}x{width} with {kernel[0]}x{kernel[1]}"
        for kind, pixels in (
            ("random", image),
            ("zeros", torch.zeros_like(image)),
            ("extremes", (image > 0).float() * 255),
        ):
            cases.append(Case(f"{kind} {size}", 0, {"image": pixels.numpy(), "kernel": weights.numpy()}))
    return tuple(cases)
