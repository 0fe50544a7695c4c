"""Faster variants: published with evidence, or refused with figures, and never in the way of the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from convserve_export import gates, speed
from convserve_export.check import Check
from convserve_export.checkpoint import load_checkpoint
from convserve_export.classifier import classifier
from convserve_export.cli import main
from convserve_export.evaluation import material
from convserve_export.pictures import load_labelled, shipped_pictures
from convserve_export.preprocessing import normalize
from convserve_export.speed import Speed
from convserve_export.variants import Variants

VALIDATION = Path(__file__).parents[4] / "shared" / "data" / "cifar10_validation.npz"
needs_pictures = pytest.mark.skipif(not VALIDATION.exists(), reason="CIFAR-10's pictures are not here")
pytestmark = needs_pictures


def rates(int8: float) -> Callable[..., dict[str, Speed]]:
    """A measurement in which int8 is so many times as fast as fp32."""

    def measure(files: dict[str, object]) -> dict[str, Speed]:
        return {n: Speed(dict.fromkeys(speed.BATCH_SIZES, 1000 * (int8 if "int8" in n else 1))) for n in files}

    return measure


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped checkpoint with all variants, its speed not measured but told."""
    out = tmp_path_factory.mktemp("variants")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "measure", rates(int8=2.0))
        assert main(["--out", str(out), "--no-convolve", "--evaluate", str(VALIDATION), "--json"]) == 0
    return out / "simple_cnn" / "1"


def answers(file: Path, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    loaded = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    result: np.ndarray[Any, Any] = loaded.run(None, {loaded.get_inputs()[0].name: rows})[0]
    return result


def test_the_manifest_names_each_variant_its_input_its_hardware_and_its_gates(artifact: Path) -> None:
    variants = {v["file"]: v for v in json.loads((artifact / "manifest.json").read_text())["variants"]}
    assert set(variants) == {
        "model.pixels.onnx",
        "model.int8.onnx",
        "model.int8.pixels.onnx",
        "model.fp16.onnx",
        "model.fp16.pixels.onnx",
    }
    assert all((artifact / name).is_file() for name in variants)
    pixels = variants["model.int8.pixels.onnx"]
    assert pixels["inputs"] == [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 32, 32, 3]}]
    assert pixels["precision"] == "int8"
    assert pixels["gates"]["min_agreement"] == 0.985
    assert variants["model.fp16.onnx"]["hardware"] == ["cuda"]
    assert variants["model.pixels.onnx"]["hardware"] == []


def test_the_evidence_is_in_the_provenance_and_holds(artifact: Path) -> None:
    tried = {v["precision"]: v for v in json.loads((artifact / "provenance.json").read_text())["variants"]}
    fp32, int8, fp16 = tried["fp32"], tried["int8"], tried["fp16"]
    assert fp32["accuracy"] > 0.86
    assert int8["published"]
    assert fp32["accuracy"] - int8["accuracy"] <= 0.003
    assert int8["agreement"] >= 0.985
    assert int8["size"] < fp32["size"] / 3
    assert fp16["published"]
    assert fp16["agreement"] >= 0.995
    assert sum(map(sum, int8["confusion"])) == 4500, "every tenth picture calibrates, and judges nothing"


def test_pixels_give_what_training_gave_to_the_bit_of_float32(artifact: Path) -> None:
    pictures = load_labelled(VALIDATION).images[:200]
    pixels = np.ascontiguousarray(pictures.numpy().transpose(0, 2, 3, 1))
    for precision in ("", ".int8", ".fp16"):
        by_pixels = answers(artifact / f"model{precision}.pixels.onnx", pixels)
        by_values = answers(artifact / f"model{precision}.onnx", normalize(pictures).numpy())
        np.testing.assert_array_equal(by_pixels, by_values)


def tried(artifact: Path, folder: Path) -> tuple[Variants, list[Check]]:
    """int8 of the published graph once more, judged by fewer pictures."""
    pictures = load_labelled(VALIDATION)
    checkpoint = load_checkpoint()
    candidate = classifier(
        name="simple_cnn", network=checkpoint.network, labels=checkpoint.labels, pictures=shipped_pictures()
    )

    def write(name: str, data: bytes) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    variants = Variants(candidate, (artifact / "model.onnx").read_bytes(), write)
    return variants, list(variants.precisions(material(pictures, None, checkpoint.labels), ("int8",)))


def test_the_same_material_gives_the_same_bytes(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure", rates(int8=3.0))
    variants, checks = tried(artifact, tmp_path)
    assert [c.passed for c in checks] == [True]
    again = {v.file: v.content for v in variants.published}
    assert set(again) == {"model.int8.onnx", "model.int8.pixels.onnx"}
    for name, content in again.items():
        assert content == (artifact / name).read_bytes()


def test_what_int8_ruins_is_refused_by_how_much_and_is_in_nobodys_way(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure", rates(int8=1.01))
    limits = gates.Gates(max_accuracy_drop=-0.5, min_agreement=0.9999, min_speedup=1.8)
    monkeypatch.setattr(gates, "int8_gates", lambda cpu: limits)
    variants, (check,) = tried(artifact, tmp_path)
    assert (check.passed, check.required) == (False, False), "the rest is published"
    assert variants.published == []
    for sentence in ("points below fp32", "it agrees with fp32 on 99.", "it is 1.01 times as fast as fp32 at batch 8"):
        assert sentence in check.detail
    assert not variants.attempts[-1].about["published"]
