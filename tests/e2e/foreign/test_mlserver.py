"""MLServer's own gRPC stubs, in a process and a virtual environment of their own, read every answer."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.artifacts import write_sum
from support.servers import ServerProcess

PYTHON = os.environ.get("MLSERVER_PYTHON")
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="MLSERVER_PYTHON is not set to a Python that has mlserver, which does not install beside us"
)


def test_mlservers_stubs_read_every_answer(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    with ServerProcess(tmp_path / "models", tmp_path, "--provider", "cpu") as server:
        script = Path(__file__).with_name("mlserver_calls.py")
        command = [str(PYTHON), str(script), server.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["live"], seen["ready"], seen["model"], seen["server"]) == (True, True, True, "convserve")
    assert seen["metadata"] == ["sum", "onnxruntime_onnx", [["a", "FP32", [-1, 2]], ["b", "FP32", [-1, 2]]]]
    assert np.frombuffer(bytes.fromhex(seen["total"]), np.float32).tolist() == [3, 5]
    assert seen["id"] == "42"
    assert seen["refusal"] == "NOT_FOUND"
    assert seen["index"] == [["sum", "1", "READY"]]
