"""Triton's own client, in a process of its own, finds everything in place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest


def test_tritonclient_reads_metadata_and_its_logits_equal_onnx_runtime_in_process(
    address: str, exported: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tritonclient")
    images = np.random.default_rng(0).normal(size=(70, 3, 32, 32)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    script = Path(__file__).with_name("triton_calls.py")
    command = [sys.executable, str(script), address, str(tmp_path / "images.npy"), str(tmp_path / "logits.npy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)

    session = onnxruntime.InferenceSession(
        exported / "simple_cnn" / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"input": images})
    assert np.abs(np.load(tmp_path / "logits.npy") - expected).max() <= 1e-5
    assert np.abs(np.array(seen["asyncio"]) - expected).max() <= 1e-5

    assert seen["server"]["name"] == "convserve"
    assert seen["model"]["platform"] == "onnxruntime_onnx"
    assert seen["model"]["versions"] == ["1"]
    assert seen["model"]["inputs"] == [{"name": "input", "datatype": "FP32", "shape": ["-1", "3", "32", "32"]}]
    assert seen["model"]["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": ["-1", "10"]}]
    status, message = seen["refusal"]
    assert status == "StatusCode.INVALID_ARGUMENT"
    assert "it takes 'input', each once; the request has 'wrong'" in message
