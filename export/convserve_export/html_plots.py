"""What the plots of report.html show: the same rows through the eager module and through each form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convserve_export import forms
from convserve_export.candidate import Candidate
from convserve_export.cases import Array, Tensors
from convserve_export.evaluation import Material, logits
from convserve_export.forms import Form
from convserve_export.variants import Variants

MOST_PICTURES = 16
MOST_NUMBERS = 640
"""Dots of a plot: enough to see a line, few enough for a small page."""


@dataclass(frozen=True)
class Samples:
    """Pictures with what model.pixels.onnx makes of them."""

    pixels: Array
    """uint8 ``[N, height, width, 3]``."""
    logits: Array
    truth: Array | None
    """Indices of the right classes, where they are known."""


def samples(candidate: Candidate, graph: bytes | None, material: Material | None) -> Samples | None:
    """Some of the pictures that judge, else of those that it was verified on; None for what is no image classifier."""
    if graph is None or candidate.pictures is None:
        return None
    if material is not None:
        pixels, truth = material.pixels[:MOST_PICTURES], material.labels[:MOST_PICTURES]
        return Samples(pixels, logits(graph, pixels), truth)
    pixels = np.ascontiguousarray(candidate.pictures[:MOST_PICTURES].transpose(0, 2, 3, 1))
    return Samples(pixels, logits(graph, pixels), None)


def plotted(candidate: Candidate, variants: Variants, paths: Mapping[str, Path]) -> dict[str, tuple[Array, Array]]:
    """Form to (eager, form), the first output of a few rows each; ``paths`` are the files by name."""
    values = max(candidate.cases, key=lambda c: ("pictures" in c.kind, c.rows)).inputs
    found: dict[str, tuple[Array, Array]] = {}
    made: dict[str, Form] = {
        "torchscript": forms.torchscript(candidate, paths["model.pt"]),
        "torch.export": forms.pt2(candidate, paths["model.pt2"]),
        "onnxruntime": forms.RuntimeForm(paths["model.onnx"]),
    }
    for name, form in made.items():
        found[name] = _beside(candidate, form, values)
    pixel = variants.forms.get("pixels")
    for variant in variants.published:
        if pixel is not None and candidate.pictures is not None and variant.pixels:
            pictures = np.ascontiguousarray(candidate.pictures.transpose(0, 2, 3, 1))
            name = "pixels" if variant.precision == "fp32" else f"pixels, {variant.precision}"
            form = forms.RuntimeForm(variant.content, name)
            found[name] = _beside(pixel, form, {"pixels": pictures})
    return found


def _beside(candidate: Candidate, form: Form, inputs: Tensors) -> tuple[Array, Array]:
    first = candidate.outputs[0].name
    expected, got = forms.eager(candidate).run(inputs)[first], form.run(inputs)[first]
    rows = max(1, MOST_NUMBERS // max(1, expected[:1].size)) if candidate.batched else len(expected)
    return _few(expected[:rows]), _few(got[:rows])


def _few(outputs: Array) -> Array:
    """Where one row alone has too many numbers, the first of them."""
    return outputs if outputs.size <= MOST_NUMBERS or outputs.ndim == 2 else outputs.reshape(1, -1)[:, :MOST_NUMBERS]
