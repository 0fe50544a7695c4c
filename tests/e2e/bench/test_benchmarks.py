"""The benchmarks run from end to end, with hardly any load; how fast things were is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(240)
def test_one_command_measures_servers_in_turn_and_gives_verdicts(exported: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "fast", "echo", "in-process"]
    command += ["--repository", str(exported), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    (measured,) = results["rounds"]
    assert not measured["failures"]
    # Not that none was refused: seconds later the machine may be busier than when its highest rate was measured.
    assert measured["servers"]["fast"]["rate"]["p50"] > 0
    assert {v["bar"]: v["met"] for v in results["verdicts"]}["throughput >= 4 x KServe"] is None
    assert (tmp_path / "results.md").read_text() in done.stdout
    assert (tmp_path / "results.svg").read_text().startswith("<svg")
