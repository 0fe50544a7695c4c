"""--tune on real models, briefly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from convserve_server.cli import main
from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.model import Array, Description, QueuePolicy
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


def test_a_model_that_takes_long_is_not_asked_for_more_than_it_must_be() -> None:
    model = Slow()
    figures = measure(model, (np.zeros((1, 1), np.float32),), loops=1, seconds=0.01)
    # In each of the three phases the batch that is waited for, and perhaps one that began before the stop.
    assert 3 <= model.runs <= 6
    assert figures.p50 >= Slow.SECONDS


class Slow(Batcher):
    """One row a batch, and each takes longer than anybody wants to wait."""

    SECONDS = 0.1
    description = Description("slow", 1, "", (), (), batched=True)
    provider = "CPUExecutionProvider"
    queue_policy = QueuePolicy()

    def __init__(self) -> None:
        super().__init__([self], Limits(max_batch_size=1))
        self.runs = 0
        self.gathering_seconds = 0.0

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        time.sleep(self.SECONDS)
        self.runs += 1
        return list(requests[0])

    def prioritize(self, default: int = 5) -> None:
        super().prioritize(default)
