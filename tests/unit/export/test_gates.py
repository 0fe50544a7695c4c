"""The gates of faster variants: what passes, what does not, and that the sentence says by how much."""

from __future__ import annotations

import numpy as np
import pytest
from convserve_export.evaluation import Judgement, judge
from convserve_export.gates import fp16_gates, int8_gates

FP32 = Judgement(0.87, 1.0, ())


def test_int8_passes_at_its_limits() -> None:
    assert int8_gates("x86-64-vnni").faults(FP32, Judgement(0.867, 0.985, ()), 1.8) == []


@pytest.mark.parametrize(
    ("accuracy", "agreement", "speedup", "sentence"),
    [
        (0.8669, 0.99, 2.0, "its accuracy is 0.31 points below fp32 (86.69%, not 87.00%); at most 0.3 are allowed"),
        (0.87, 0.9849, 2.0, "it agrees with fp32 on 98.49%; at least 98.5% is wanted"),
        (0.87, 0.99, 1.79, "it is 1.79 times as fast as fp32 at batch 8; at least 1.8 is wanted on this kind of CPU"),
    ],
)
def test_what_int8_misses_is_said_with_figures(
    accuracy: float, agreement: float, speedup: float, sentence: str
) -> None:
    assert int8_gates("x86-64-vnni").faults(FP32, Judgement(accuracy, agreement, ()), speedup) == [sentence]


def test_without_vnni_int8_must_only_be_faster() -> None:
    assert int8_gates("x86-64").faults(FP32, FP32, 1.2) == []
    assert "1.00 times" in int8_gates("x86-64").faults(FP32, FP32, 1.0)[0]


def test_a_better_accuracy_than_fp32_is_no_fault() -> None:
    assert int8_gates("x86-64").faults(FP32, Judgement(0.9, 0.99, ()), 2.0) == []


def test_fp16_has_tighter_gates_and_none_on_speed() -> None:
    assert fp16_gates().faults(FP32, Judgement(0.8695, 0.999, ()), None) == []
    assert len(fp16_gates().faults(FP32, Judgement(0.868, 0.99, ()), None)) == 2


def test_a_judgement_counts_accuracy_agreement_and_confusion() -> None:
    reference = np.array([[2, 1, 0], [0, 2, 1], [0, 1, 2], [2, 1, 0]])
    answers = np.array([[2, 1, 0], [0, 2, 1], [2, 1, 0], [0, 1, 2]])
    found = judge(answers, reference, np.array([0, 1, 2, 2]))
    assert (found.accuracy, found.agreement) == (0.75, 0.5)
    assert found.confusion == ((1, 0, 0), (0, 1, 0), (1, 0, 1))
