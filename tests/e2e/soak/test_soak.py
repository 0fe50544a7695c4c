"""Two minutes of the soak: mixed load with reloads and faults, on each transport."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("CONVSERVE_TEST_SOAK") != "1", reason="takes minutes: make test-soak sets CONVSERVE_TEST_SOAK=1"
    ),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory and descriptors are read from /proc"),
]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("transport", ["fast", "standard"])
def test_two_minutes_of_mixed_load_with_reloads_and_faults_break_no_rule(
    transport: str, exported: Path, tmp_path: Path
) -> None:
    told = tmp_path / "soak.json"
    command = [sys.executable, "-m", "benchmarks.soak", "--minutes", "2", "--transport", transport]
    command += ["--repository", str(exported), "--json", str(told), "--svg", str(tmp_path / "soak.svg")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=380, cwd=ROOT)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(told.read_text())
    assert document["violations"] == []
    seen = " ".join(document["outcomes"])
    for what in (
        *("infer, patient, OK", "classify, patient, OK", "convolve, patient, OK", "convolve a PNG, patient, OK"),
        *("stream, read, OK", "stream, abandoned, OK", "health, right", "metrics, right", "newest, right"),
        *("CANCELLED", "DEADLINE_EXCEEDED", "bad: noise for ModelInfer"),
        *("reload, new version", "reload, spoilt version", "reload, same again", "reload, guest"),
        *("fault, stop and continue", "fault, noise", "fault, rapid reset", "fault, no answers taken"),
    ):
        assert what in seen, f"{what} never happened"
    assert (tmp_path / "soak.svg").read_text().startswith("<svg")
