"""The demo runs from start to end, says what it did, and leaves nothing running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.mark.timeout(300)
def test_the_demo_exports_serves_calls_and_stops_its_server(exported: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.demo", "--artifacts", str(exported), "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[3])
    assert done.returncode == 0, done.stdout + done.stderr

    assert "20 CIFAR-10 test pictures in one call" in done.stdout
    right = re.search(r"(\d+) of 20 right", done.stdout)
    assert right
    assert int(right.group(1)) >= 15
    assert re.search(r"chelsea\.png \(a cat\):\n +cat ", done.stdout), "a cat is a cat"
    assert done.stdout.count("+8 +8 +8") == 3
    assert done.stdout.count("-8 -8 -8") == 3

    with Image.open(tmp_path / "edges.png") as edges:
        assert edges.size == (449, 298)
        assert edges.getextrema() != (0, 0)

    stopped = re.search(r"server (\d+) stopped", done.stdout)
    assert stopped
    with pytest.raises(ProcessLookupError):
        os.kill(int(stopped.group(1)), 0)
