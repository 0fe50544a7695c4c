"""On CUDA, auto serves the fp16 variant, and what a real fp16 graph answers there is within its tolerance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from convserve_export.quantization import to_fp16
from convserve_server.app import make_repository
from convserve_server.settings import Settings
from support.variants import write_variants

from .requirement import needs_cuda

pytestmark = needs_cuda


def test_auto_takes_fp16_on_cuda(tmp_path: Path) -> None:
    write_variants(tmp_path, int8_hardware=["x86-64-vnni", "x86-64"])
    repository = make_repository(Settings(repository=tmp_path, provider="cuda"))
    repository.load()
    model = repository.find("sums")
    assert (model.description.precision, model.provider) == ("fp16", "CUDAExecutionProvider")


def test_fp16_on_cuda_is_within_its_tolerance_of_fp32(exported: Path) -> None:
    graph = (exported / "simple_cnn" / "1" / "model.onnx").read_bytes()
    images = np.random.default_rng(0).normal(size=(16, 3, 32, 32)).astype(np.float32)
    answers = [
        onnxruntime.InferenceSession(g, providers=[provider]).run(None, {"input": images})[0]
        for g, provider in ((graph, "CPUExecutionProvider"), (to_fp16(graph), "CUDAExecutionProvider"))
    ]
    allowed = 1e-2 + 1e-2 * np.abs(answers[0]).max(axis=1)
    assert (np.abs(answers[1] - answers[0]).max(axis=1) <= allowed).all()
