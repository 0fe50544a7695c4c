"""--tune on real models, briefly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from convserve_server.cli import main
from convserve_server.engine.session import NUMPY_TYPES
from convserve_server.errors import InferenceFailed
from convserve_server.tuning import command
from convserve_server.tuning.load import measure
from support.artifacts import write_picky, write_sum
from support.repositories import loaded


def test_the_command_prints_a_table_and_the_flags_and_exits_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LONGEST", 0.1)
    write_sum(tmp_path)
    assert main(["--tune", "--repository", str(tmp_path), "--provider", "cpu", "--max-batch-size", "8"]) == 0
    shown, progress = capsys.readouterr()
    assert shown.split()[:2] == ["instances", "threads"]
    assert shown.count("<- best") == 1
    assert shown.splitlines()[-1].startswith("convserve-server --instances ")
    assert "sum version 1 on CPUExecutionProvider" in progress


def test_figures_come_from_answered_requests(tmp_path: Path) -> None:
    write_sum(tmp_path)
    model = loaded(tmp_path).find("sum")
    row = (np.ones((1, 2), np.float32), np.ones((1, 2), np.float32))
    figures = measure(model, row, loops=2, seconds=0.1)
    assert figures.rate > 100
    assert 0 < figures.p50 <= figures.p95
    assert figures.alone > 0


def test_a_request_that_fails_ends_the_measurement(tmp_path: Path) -> None:
    write_picky(tmp_path)
    model = loaded(tmp_path).find("picky")
    shapes = [[1 if d == -1 else d for d in spec.shape] for spec in model.description.inputs]
    kinds = [NUMPY_TYPES[spec.datatype] for spec in model.description.inputs]
    beyond = tuple(np.full(shape, 99, kind) for shape, kind in zip(shapes, kinds, strict=True))
    with pytest.raises(InferenceFailed):
        measure(model, beyond, loops=1, seconds=0.1)
