"""Nothing is reported to anybody: ONNX Runtime's telemetry is off in the server and in the export."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.artifacts import write_sum

RUN = """
import sys
import {package}
import os, onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
open_files = [os.path.realpath("/proc/self/fd/" + number) for number in os.listdir("/proc/self/fd")]
print([path for path in open_files if os.environ["HOME"] in path])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open files are read from /proc")
@pytest.mark.parametrize("package", ["convserve_server", "convserve_export"])
def test_onnx_runtime_keeps_and_sends_no_telemetry(package: str, tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    home = tmp_path / "home"
    home.mkdir()
    # It is quiet by itself where CI is set, and this process has told its children already.
    rest = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment = {name: value for name, value in rest.items() if not name.startswith("XDG_")} | {"HOME": str(home)}
    command = [sys.executable, "-c", RUN.format(package=package), str(tmp_path / "models/sum/1/model.onnx")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert [str(path) for path in home.rglob("*") if path.is_file()] == []
