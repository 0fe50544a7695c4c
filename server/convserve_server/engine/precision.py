"""Which form of a model is run: the fastest that passed its gates on the hardware at hand, or the one asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from convserve_server.engine.model import TensorSpec
from convserve_server.errors import ModelBroken

log = logging.getLogger(__name__)

AUTO, FP32, FP16, INT8 = "auto", "fp32", "fp16", "int8"
PRECISIONS = (AUTO, FP32, FP16, INT8)
CUDA_HARDWARE = "cuda"
FASTEST_FIRST = (INT8, FP16)


@dataclass(frozen=True)
class Variant:
    """Another form of an artifact's model; its outputs are the same."""

    precision: str
    model: bytes
    inputs: tuple[TensorSpec, ...]
    pixels: bool
    """True where it takes pixels, UINT8 ``[rows, height, width, 3]``, and does the preprocessing itself."""
    hardware: tuple[str, ...] = ()
    """Kinds of hardware on which it passed its gates; empty where it runs wherever the model does."""


def choose(wanted: str, variants: Sequence[Variant], hardware: str, *, learned: bool) -> str:
    """The precision to serve on ``hardware``, such as "x86-64-vnni" or "cuda".

    A model that has learned nothing has nothing to round: it is served as it is, whatever is wanted. Raises ModelBroken
    where a precision is wanted that the artifact does not have.
    """
    proven = {v.precision for v in variants if hardware in v.hardware}
    if wanted == AUTO:
        return next((p for p in FASTEST_FIRST if p in proven), FP32)
    if wanted == FP32 or not learned:
        return FP32
    have = {v.precision for v in variants}
    if wanted not in have:
        raise ModelBroken(
            f"it has no {wanted} variant that passed its gates, and --precision {wanted} was asked for; it has "
            f"{', '.join(sorted({FP32, *have}))}: start with --precision auto, or export it with --evaluate PICTURES"
        )
    if wanted not in proven:
        log.warning("%s was asked for, and did not prove itself on hardware like this (%s)", wanted, hardware)
    return wanted
