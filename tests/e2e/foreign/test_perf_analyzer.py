"""Triton's own load generator finds what it needs: metadata, config, statistics, streams, shared memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.artifacts import write_sum
from support.servers import ServerProcess

ANALYZER = os.environ.get("PERF_ANALYZER") or shutil.which("perf_analyzer")
"""The wheel of tritonclient 2.41.0 carries it; it also needs libb64 and libcudart 12 on LD_LIBRARY_PATH."""
pytestmark = pytest.mark.skipif(ANALYZER is None, reason="perf_analyzer is not installed (tritonclient 2.41.0 has it)")


@pytest.mark.parametrize("way", [(), ("--async",), ("--streaming",), ("--shared-memory", "system")], ids=str)
def test_it_measures_the_model_and_reads_the_servers_statistics(tmp_path: Path, way: tuple[str, ...]) -> None:
    write_sum(tmp_path / "models")
    with ServerProcess(tmp_path / "models", tmp_path, "--provider", "cpu") as server:
        command = [str(ANALYZER), "-m", "sum", "-u", server.address, "-i", "grpc", *way]
        # Few and short windows, and content with any spread: the figures themselves prove nothing here.
        command += ["--concurrency-range", "2", "-p", "1000", "-r", "3", "--stability-percentage", "999"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unable to" not in done.stdout + done.stderr
    counted = {
        name: int(n) for name, n in re.findall(r"(Inference count|Successful request count): (\d+)", done.stdout)
    }
    assert counted["Inference count"] == counted["Successful request count"] > 100
