"""Other forms of a proven network, each published only if it passes its gates: pixels in, int8, fp16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from convserve_proto import manifest_pb2
from convserve_proto.cpu_kind import X86, cpu_kind
from torch import nn

from convserve_export import gates, speed
from convserve_export.candidate import Candidate
from convserve_export.cases import Array, TensorSpec
from convserve_export.check import Check
from convserve_export.comparison import Tolerance
from convserve_export.evaluation import Judgement, Material, judge, logits
from convserve_export.gates import Gates
from convserve_export.pixels import PixelInput, pixel_candidate, with_pixel_input
from convserve_export.quantization import to_fp16, to_int8
from convserve_export.speed import Speed
from convserve_export.verification import verify_variant

PRECISIONS = ("int8", "fp16")
FP16_TOLERANCE = Tolerance(atol=1e-2, rtol=1e-2)
FP16_KINDS = ("pictures", "zeros", "random")
"""What half precision is compared on: the extremes go beyond the largest number that it has."""
SPEED_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An ONNX file beside model.onnx that passed its gates."""

    precision: str
    file: str
    content: bytes
    inputs: tuple[TensorSpec, ...]
    pixels: bool
    hardware: tuple[str, ...] = ()
    gates: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How a precision did, whether it is published or not."""

    precision: str
    size: int
    judgement: Judgement
    difference: float
    """Largest difference of a logit from fp32 on the pictures that judge."""
    faults: tuple[str, ...]
    method: str = ""
    speeds: dict[str, Speed] = field(default_factory=dict)
    """By the kind of input: "values", "pixels"."""

    @property
    def about(self) -> dict[str, Any]:
        """As in provenance.json."""
        return {
            "precision": self.precision,
            "published": not self.faults,
            "faults": list(self.faults),
            "size": self.size,
            "calibration": self.method,
            "accuracy": self.judgement.accuracy,
            "agreement": self.judgement.agreement,
            "max_difference": self.difference,
            "confusion": [list(row) for row in self.judgement.confusion],
            "images_per_second": {
                form: {str(batch): round(rate, 1) for batch, rate in s.images_per_second.items()}
                for form, s in self.speeds.items()
            },
        }


class Variants:
    """Builds and judges the variants of one candidate: go through ``pixels`` and ``precisions``, then read the rest."""

    def __init__(self, candidate: Candidate, graph: bytes, write: Callable[[str, bytes], Path]) -> None:
        self.published: list[Variant] = []
        self.attempts: list[Attempt] = []
        self._candidate, self._graph, self._write = candidate, graph, write

    @property
    def forms(self) -> dict[str, Candidate]:
        """The candidate by what it takes: values, and pixels where it has them."""
        if self._candidate.pictures is None:
            return {"values": self._candidate}
        return {"values": self._candidate, "pixels": pixel_candidate(self._candidate, self._candidate.pictures)}

    def pixels(self, tolerance: Tolerance) -> Iterator[Check]:
        """The preprocessing in the graph, equal to preprocessing outside of it within the tolerance."""
        candidate, about = self._candidate, self._candidate.preprocessing
        if about is None or candidate.pictures is None:
            return
        pixel = pixel_candidate(candidate, candidate.pictures)
        content = with_pixel_input(self._graph, about)
        variant = Variant(precision="fp32", file="model.pixels.onnx", content=content, inputs=pixel.inputs, pixels=True)
        path = self._write(variant.file, content)
        yield from verify_variant(pixel, path, name="pixels", tolerance=tolerance)
        self.published.append(variant)

    def precisions(self, material: Material, wanted: tuple[str, ...]) -> Iterator[Check]:
        """Try each precision; one that fails a gate is left out, and its check says by how much."""
        about = self._candidate.preprocessing
        assert about is not None
        reference = logits(with_pixel_input(self._graph, about), material.pixels)
        fp32 = judge(reference, reference, material.labels)
        graphs = {"fp32": (self._graph, "")}
        if "int8" in wanted:
            graphs["int8"] = self._int8(material)
        if "fp16" in wanted:
            graphs["fp16"] = (to_fp16(self._graph), "")
        speeds = self._speeds({name: graph for name, (graph, _) in graphs.items() if name != "fp16"}, material, about)
        for precision, (graph, method) in graphs.items():
            answers = reference if precision == "fp32" else logits(with_pixel_input(graph, about), material.pixels)
            judgement = judge(answers, reference, material.labels)
            limits = gates.int8_gates(cpu_kind()) if precision == "int8" else gates.fp16_gates()
            checks = [] if precision == "fp32" else list(self._structure(precision, graph))
            faults = [f"{c.name}: {c.detail}" for c in checks if not c.passed]
            if precision != "fp32":
                faults += limits.faults(fp32, judgement, _speedup(speeds, precision))
            attempt = Attempt(
                precision=precision,
                size=len(graph),
                judgement=judgement,
                difference=float(np.abs(answers - reference).max()),
                faults=tuple(faults),
                method=method,
                speeds={form: s[precision] for form, s in speeds.items() if precision in s},
            )
            self.attempts.append(attempt)
            if precision == "fp32":
                continue
            if not faults:
                self._publish(precision, graph, about, limits)
            yield Check(f"{precision} passes its gates", not faults, _told(attempt, speeds), required=False)

    def _int8(self, material: Material) -> tuple[bytes, str]:
        about = self._candidate.preprocessing
        assert about is not None
        with torch.inference_mode():
            rows = PixelInput(nn.Identity(), about)(torch.from_numpy(material.calibration)).numpy()
        expected = logits(self._graph, rows).argmax(axis=1)
        made = to_int8(
            self._graph,
            rows,
            lambda graph: float((logits(graph, rows).argmax(axis=1) == expected).mean()),
            reduce_range=cpu_kind() == X86,
        )
        return made.graph, made.method

    def _structure(self, precision: str, graph: bytes) -> Iterator[Check]:
        """What the graph itself must be: valid, of the same signature, free in its batch axis, finite, row by row."""
        kinds = FP16_KINDS if precision == "fp16" else ("pictures",)
        candidate = replace(self._candidate, cases=tuple(c for c in self._candidate.cases if c.kind in kinds))
        path = self._write(f"model.{precision}.onnx", graph)
        tolerance = FP16_TOLERANCE if precision == "fp16" else None
        yield from verify_variant(candidate, path, name=precision, tolerance=tolerance)

    def _publish(self, precision: str, graph: bytes, about: manifest_pb2.ImagePreprocessing, limits: Gates) -> None:
        assert self._candidate.pictures is not None
        pixel = pixel_candidate(self._candidate, self._candidate.pictures)
        hardware = (cpu_kind(),) if precision == "int8" else (gates.CUDA,)
        for file, content, inputs, pixels in (
            (f"model.{precision}.onnx", graph, self._candidate.inputs, False),
            (f"model.{precision}.pixels.onnx", with_pixel_input(graph, about), pixel.inputs, True),
        ):
            self.published.append(
                Variant(
                    precision=precision,
                    file=file,
                    content=content,
                    inputs=inputs,
                    pixels=pixels,
                    hardware=hardware,
                    gates=limits.figures,
                )
            )

    def _speeds(
        self, graphs: dict[str, bytes], material: Material, about: manifest_pb2.ImagePreprocessing
    ) -> dict[str, dict[str, Speed]]:
        """By form of input, then precision. Measured again while int8 is too slow: another program may have run."""
        rows: Array = np.zeros((max(speed.BATCH_SIZES), *self._candidate.inputs[0].shape[1:]), np.float32)
        pixels = material.pixels[: len(rows)]
        files = {f"values {name}": (graph, rows) for name, graph in graphs.items()}
        files |= {f"pixels {name}": (with_pixel_input(graph, about), pixels) for name, graph in graphs.items()}
        found: dict[str, dict[str, Speed]] = {"values": {}, "pixels": {}}
        wanted = gates.int8_gates(cpu_kind()).min_speedup or 0
        for _ in range(SPEED_TRIES):
            for file, measured in speed.measure(files).items():
                form, _, name = file.partition(" ")
                found[form][name] = measured.quicker(found[form].get(name))
            if "int8" not in graphs or (_speedup(found, "int8") or 0) >= wanted:
                break
        return found


def _speedup(speeds: dict[str, dict[str, Speed]], precision: str) -> float | None:
    rates = {n: s.images_per_second[gates.SPEED_BATCH] for n, s in speeds["values"].items()}
    return rates[precision] / rates["fp32"] if precision in rates else None


def _told(attempt: Attempt, speeds: dict[str, dict[str, Speed]]) -> str:
    if attempt.faults:
        return "not published: " + "; ".join(attempt.faults)
    faster = _speedup(speeds, attempt.precision)
    how = f", {faster:.2f} times as fast at batch {gates.SPEED_BATCH}" if faster else ""
    return f"accuracy {attempt.judgement.accuracy:.2%}, agreement {attempt.judgement.agreement:.2%}{how}"
