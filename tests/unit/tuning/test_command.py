"""--tune measures each candidate in turn, within its time, and says what to start the server with."""

from __future__ import annotations

from pathlib import Path

import pytest
from convserve_server.engine.model import Array, Model
from convserve_server.errors import ModelBroken
from convserve_server.settings import Settings
from convserve_server.tuning.candidates import Figures
from convserve_server.tuning.command import ROUNDS, tune
from support.artifacts import write_sum


class Measured:
    """Stands in for the measurement; each takes ``seconds`` of its clock."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds, self.now = seconds, 0.0
        self.given: list[float] = []
        self.loops: list[int] = []

    def clock(self) -> float:
        return self.now

    def __call__(self, model: Model, inputs: tuple[Array, ...], loops: int, seconds: float) -> Figures:
        assert [i.shape for i in inputs] == [(1, 2), (1, 2)]
        self.now += self.seconds
        self.given.append(seconds)
        self.loops.append(loops)
        return Figures(rate=100.0 * len(self.given), p50=0.001, p95=0.002, alone=0.0005)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_sum(tmp_path)
    return Settings(repository=tmp_path, provider="cpu", instances=2, threads=1, max_batch_size=32)


def test_every_candidate_is_measured_in_turn_and_the_best_is_a_command(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = Measured()
    assert tune(settings, measure=measured, clock=measured.clock) == 0
    shown, progress = capsys.readouterr()
    assert measured.loops == [2] * 2 * ROUNDS
    assert shown.splitlines()[-1] == "convserve-server --instances 2 --threads 1 --max-batch-size 32"
    # Of its rounds the better one counts.
    assert shown.splitlines()[1].split()[3] == "500"
    assert f"measuring 1 of {2 * ROUNDS}: --instances 2 --threads 1 --max-batch-size 8" in progress


def test_it_ends_when_the_time_is_over(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    measured = Measured(seconds=6)
    assert tune(settings, budget=10, measure=measured, clock=measured.clock) == 0
    assert len(measured.given) == 2
    assert f"out of time after 2 of {2 * ROUNDS} measurements" in capsys.readouterr().err


def test_no_measurement_gets_more_than_its_share_of_the_time(settings: Settings) -> None:
    measured = Measured(seconds=0.5)
    tune(settings, budget=0.5 * 2 * ROUNDS, measure=measured, clock=measured.clock)
    assert measured.given == [0.5] * 2 * ROUNDS


def test_without_a_model_a_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="there is no model in"):
        tune(Settings(repository=tmp_path, provider="cpu"))
