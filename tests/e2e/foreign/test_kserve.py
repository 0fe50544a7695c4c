"""KServe's inference client, in a process and a virtual environment of its own, finds what it needs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.artifacts import write_sum
from support.servers import ServerProcess

PYTHON = os.environ.get("KSERVE_PYTHON")
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="KSERVE_PYTHON is not set to a Python that has kserve, which does not install beside us"
)


def test_kserves_client_finds_what_it_needs(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    with ServerProcess(tmp_path / "models", tmp_path, "--provider", "cpu") as server:
        script = Path(__file__).with_name("kserve_calls.py")
        done = subprocess.run(
            [str(PYTHON), str(script), server.address], capture_output=True, text=True, timeout=100, check=False
        )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["live"], seen["ready"], seen["model"], seen["server"]) == (True, True, True, "convserve")
    assert (seen["typed"], seen["raw"]) == (["typed", [[3, 5]]], ["raw", [[3, 5]]])
    assert seen["metadata"] == ["sum", "onnxruntime_onnx", [["a", "FP32", [-1, 2]], ["b", "FP32", [-1, 2]]]]
    assert seen["refusal"] == "NOT_FOUND"
