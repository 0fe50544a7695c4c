"""What a real export publishes: files that describe themselves, run anywhere, and know nothing of this machine."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from convserve_export import convolution
from convserve_export.candidate import Candidate
from convserve_export.torchscript import load_torchscript
from convserve_proto import manifest_pb2
from google.protobuf import json_format
from scipy.signal import correlate2d

from .conftest import Exported


def test_both_models_are_published_with_all_their_files_and_nothing_else(exported: Exported) -> None:
    files = {str(p.relative_to(exported.out)) for p in exported.out.rglob("*") if p.is_file()}
    assert files == {
        "simple_cnn/1/labels.txt",
        "simple_cnn/1/manifest.json",
        "simple_cnn/1/manifest.sha256",
        "simple_cnn/1/model.onnx",
        "simple_cnn/1/model.pixels.onnx",
        "simple_cnn/1/model.pt",
        "simple_cnn/1/model.pt2",
        "simple_cnn/1/provenance.json",
        "simple_cnn/1/provenance.sha256",
        "simple_cnn/1/references.npz",
        "simple_cnn/1/report.html",
        "convolve/1/manifest.json",
        "convolve/1/manifest.sha256",
        "convolve/1/model.onnx",
        "convolve/1/model.pt",
        "convolve/1/model.pt2",
        "convolve/1/provenance.json",
        "convolve/1/provenance.sha256",
        "convolve/1/references.npz",
        "convolve/1/report.html",
    }


def test_other_users_may_read_what_is_published(exported: Exported) -> None:
    folder = exported.classifier
    reference = exported.out / "made-plainly"
    reference.mkdir()
    try:
        assert folder.stat().st_mode == reference.stat().st_mode
    finally:
        reference.rmdir()


def test_the_manifest_lists_every_file_that_is_the_same_each_time_with_its_hash_and_size(exported: Exported) -> None:
    for folder in (exported.classifier, exported.convolution):
        manifest = json_format.Parse((folder / "manifest.json").read_text(), manifest_pb2.Manifest())
        listed = {f.name: (f.sha256, f.size) for f in manifest.files}
        apart = {"manifest.json", "manifest.sha256", "provenance.json", "provenance.sha256", "report.html"}
        there = {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in apart}
        assert listed == {name: (hashlib.sha256(data).hexdigest(), len(data)) for name, data in there.items()}


def test_the_manifest_of_the_classifier_says_how_to_use_it(exported: Exported) -> None:
    manifest = exported.manifest(exported.classifier)
    assert manifest["format"] == 1
    assert (manifest["name"], manifest["version"]) == ("simple_cnn", 1)
    assert manifest["task"] == "TASK_IMAGE_CLASSIFICATION"
    assert manifest["batched"] is True
    assert manifest["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 3, 32, 32]}]
    assert manifest["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]
    assert manifest["preprocessing"] == {
        "height": 32,
        "width": 32,
        "color_order": "RGB",
        "layout": "NCHW",
        "scale": 255.0,
        "mean": [0.4914, 0.4822, 0.4465],
        "std": [0.247, 0.2435, 0.2616],
    }
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    assert manifest["labels"] == names
    assert (exported.classifier / "labels.txt").read_text().splitlines() == names
    assert manifest["parameters"]["total"] == manifest["parameters"]["trainable"] == 1_147_466
    assert sum(layer["count"] for layer in manifest["parameters"]["layers"]) == 1_147_466
    assert manifest["tools"]["torch"] == torch.__version__


def test_the_manifest_of_the_convolution_says_how_to_use_it(exported: Exported) -> None:
    manifest = exported.manifest(exported.convolution)
    assert manifest["task"] == "TASK_CONVOLUTION"
    assert manifest["batched"] is False
    assert manifest["labels"] == []
    assert manifest["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, -1, -1]},
        {"name": "kernel", "datatype": "FP32", "shape": [-1, -1]},
    ]
    assert manifest["outputs"] == [{"name": "response", "datatype": "FP32", "shape": [-1, -1, -1]}]


def test_every_measured_difference_is_in_the_provenance_and_within_the_tolerance(exported: Exported) -> None:
    verification = exported.manifest(exported.classifier)["verification"]
    assert (verification["atol"], verification["rtol"]) == (1e-5, 1e-4)
    assert "onnxruntime equals eager" in verification["checks"]
    assert verification["comparisons"] == [], "what was measured is no part of what is the same each time"
    comparisons = json.loads((exported.classifier / "provenance.json").read_text())["comparisons"]
    seen = {(c["form"], c["inputs"], c["batch_size"]) for c in comparisons}
    assert seen >= {
        (form, kind, rows)
        for form in ("torchscript", "torch.export", "onnxruntime")
        for kind in ("random", "zeros", "extremes", "pictures")
        for rows in (1, 2, 3, 7, 32, 64)
    }
    assert all(0 <= c["max_tolerance_used"] <= 1 for c in comparisons)
    assert any(c["max_absolute_difference"] > 0 for c in comparisons)


def test_nothing_of_this_machine_is_in_any_file(exported: Exported) -> None:
    here = [str(Path(torch.__file__).parents[1]), str(Path(convolution.__file__).parents[2]), sys.prefix]
    here += [str(exported.out), str(Path.home())]
    for file in exported.out.rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        assert [path for path in here if path != "/" and path.encode() in data] == [], file
        assert b"Traceback" not in data
        assert b'File "' not in data


def test_the_onnx_graph_has_no_metadata_and_names_its_free_axes(exported: Exported) -> None:
    model = onnx.load(exported.classifier / "model.onnx")
    assert not model.metadata_props
    assert not model.doc_string
    assert all(not n.metadata_props and not n.doc_string for n in model.graph.node)
    assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", "", "", ""]


@pytest.mark.parametrize("shape", [(1, 5, 5, 3, 3), (3, 40, 31, 4, 2), (2, 9, 9, 9, 9), (3, 17, 6, 1, 6)])
def test_the_published_convolution_equals_scipy_at_sizes_that_no_export_saw(
    exported: Exported, shape: tuple[int, int, int, int, int]
) -> None:
    generator = np.random.default_rng(0)
    image = generator.standard_normal(shape[:3], dtype=np.float32)
    kernel = generator.standard_normal(shape[3:], dtype=np.float32)
    session = onnxruntime.InferenceSession(exported.convolution / "model.onnx", providers=["CPUExecutionProvider"])
    script = load_torchscript(exported.convolution / "model.pt")
    expected = np.stack([correlate2d(channel, kernel, mode="valid") for channel in image])
    for got in (
        session.run(["response"], {"image": image, "kernel": kernel})[0],
        script(torch.from_numpy(image), torch.from_numpy(kernel)).numpy(),
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_the_torchscript_file_loads_in_plain_torch(exported: Exported, candidates: dict[str, Candidate]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(exported.classifier / "model.pt")  # type: ignore[no-untyped-call]
    x = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(module(x), candidates["simple_cnn"].module(x), rtol=1e-4, atol=1e-5)
