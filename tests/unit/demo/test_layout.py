"""The demo's text: bars to scale, columns aligned."""

from __future__ import annotations

import pytest
from convserve_client import Classification

from tools.demo import layout


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "    "),
        (1.0, "████"),
        (0.5, "██  "),
        (0.03125, "▏   "),
        (0.25 + 0.125, "█▌  "),
        (2.0, "████"),
        (-1.0, "    "),
    ],
)
def test_a_bar_fills_its_share_and_never_leaves_its_width(share: float, expected: str) -> None:
    assert layout.bar(share, 4) == expected


def test_classes_are_aligned_with_their_probabilities() -> None:
    lines = layout.classes([Classification("cat", 3, 0.75), Classification("airplane", 0, 0.002)])
    assert lines == ["cat        75.0%  ██████████████████", "airplane    0.2%"]


def test_matrices_lie_side_by_side_under_their_titles() -> None:
    lines = layout.side_by_side(layout.matrix([[1, -10], [2, 3]], "left"), layout.matrix([[8.0]], "right", signed=True))
    assert lines == [
        "left      right",
        "  1 -10   +8",
        "  2   3",
    ]
