"""A client that knows nothing but reflection lists and calls all services."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BUF = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
pytestmark = pytest.mark.skipif(BUF is None, reason="buf (PyPI's buf-bin) is not installed")


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BUF), "curl", "--http2-prior-knowledge", "--protocol", "grpc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def answer(address: str, method: str, request: dict[str, Any]) -> Any:
    done = curl("-d", json.dumps(request), f"http://{address}/{method}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("protocol", ["grpc-v1", "grpc-v1alpha"])
def test_reflection_lists_every_method(address: str, protocol: str) -> None:
    done = curl("--reflect-protocol", protocol, "--list-methods", f"http://{address}")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {
        "convserve.v1.Convolution/Convolve",
        "convserve.v1.ImageClassifier/Classify",
        "grpc.health.v1.Health/Check",
        "grpc.health.v1.Health/List",
        "grpc.health.v1.Health/Watch",
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "inference.GRPCInferenceService/CudaSharedMemoryRegister",
        "inference.GRPCInferenceService/CudaSharedMemoryStatus",
        "inference.GRPCInferenceService/CudaSharedMemoryUnregister",
        "inference.GRPCInferenceService/LogSettings",
        "inference.GRPCInferenceService/ModelConfig",
        "inference.GRPCInferenceService/ModelInfer",
        "inference.GRPCInferenceService/ModelMetadata",
        "inference.GRPCInferenceService/ModelReady",
        "inference.GRPCInferenceService/ModelStatistics",
        "inference.GRPCInferenceService/ModelStreamInfer",
        "inference.GRPCInferenceService/RepositoryIndex",
        "inference.GRPCInferenceService/RepositoryModelLoad",
        "inference.GRPCInferenceService/RepositoryModelUnload",
        "inference.GRPCInferenceService/ServerLive",
        "inference.GRPCInferenceService/ServerMetadata",
        "inference.GRPCInferenceService/ServerReady",
        "inference.GRPCInferenceService/SystemSharedMemoryRegister",
        "inference.GRPCInferenceService/SystemSharedMemoryStatus",
        "inference.GRPCInferenceService/SystemSharedMemoryUnregister",
        "inference.GRPCInferenceService/TraceSetting",
    }


def test_the_inference_service_takes_typed_contents_and_answers_raw(address: str) -> None:
    tensor = {
        "name": "input",
        "datatype": "FP32",
        "shape": [1, 3, 32, 32],
        "contents": {"fp32Contents": [0.5] * 3072},
    }
    reply = answer(
        address, "inference.GRPCInferenceService/ModelInfer", {"modelName": "simple_cnn", "inputs": [tensor]}
    )
    logits = np.frombuffer(base64.b64decode(reply["rawOutputContents"][0]), np.float32)
    assert logits.shape == (10,)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        ("ServerLive", {}, {"live": True}),
        ("ServerReady", {}, {"ready": True}),
        ("ModelReady", {"name": "simple_cnn"}, {"ready": True}),
        ("ServerMetadata", {}, {"name": "convserve"}),
        ("ModelMetadata", {"name": "simple_cnn"}, {"platform": "onnxruntime_onnx", "versions": ["1"]}),
        ("ModelConfig", {"name": "simple_cnn"}, {}),
        ("ModelStatistics", {"name": "simple_cnn"}, {}),
        ("RepositoryIndex", {"ready": True}, {}),
        ("TraceSetting", {}, {}),
        ("LogSettings", {}, {}),
        ("SystemSharedMemoryStatus", {}, {}),
    ],
)
def test_what_is_only_asked_is_answered(
    address: str, method: str, request_: dict[str, Any], expected: dict[str, Any]
) -> None:
    reply = answer(address, f"inference.GRPCInferenceService/{method}", request_)
    assert {key: reply[key] for key in expected} == expected


def test_the_image_classifier_takes_pixels(address: str) -> None:
    pixels = {"height": 32, "width": 32, "channels": 3, "data": base64.b64encode(bytes(3072)).decode()}
    reply = answer(address, "convserve.v1.ImageClassifier/Classify", {"images": [{"pixels": pixels}], "topK": 10})
    (result,) = reply["results"]
    assert sum(c["probability"] for c in result["classifications"]) == pytest.approx(1, abs=1e-9)
    assert reply["modelName"] == "simple_cnn"


@pytest.mark.parametrize(
    ("operation", "value"),
    [(None, 8), ("OPERATION_CROSS_CORRELATION", 8), ("OPERATION_CONVOLUTION", -8)],
)
def test_the_sobel_demo_is_8_as_cross_correlation_and_minus_8_with_the_kernel_flipped(
    address: str, operation: str | None, value: int
) -> None:
    request: dict[str, Any] = {
        "matrix": {"rows": 5, "columns": 5, "values": list(range(1, 26))},
        "customKernel": {"rows": 3, "columns": 3, "values": [-1, 0, 1, -2, 0, 2, -1, 0, 1]},
    }
    if operation:
        request["operation"] = operation
    reply = answer(address, "convserve.v1.Convolution/Convolve", request)
    assert reply["responses"] == [{"rows": 3, "columns": 3, "values": [value] * 9}]


def test_the_health_service_lists_what_is_served(address: str) -> None:
    statuses = answer(address, "grpc.health.v1.Health/List", {})["statuses"]
    assert set(statuses) >= {"", "models/simple_cnn", "models/convolve"}
    assert {s["status"] for s in statuses.values()} == {"SERVING"}


def test_a_bad_request_hears_a_sentence(address: str) -> None:
    done = curl("-d", "{}", f"http://{address}/convserve.v1.ImageClassifier/Classify")
    assert done.returncode != 0
    error = json.loads(done.stderr)
    assert error["code"] == "invalid_argument"
    assert "image" in error["message"]
