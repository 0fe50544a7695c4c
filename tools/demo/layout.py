"""How the demo lays out classes and matrices as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from convserve_client import Classification
from numpy.typing import ArrayLike

BAR = 24
EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, width: int = BAR) -> str:
    """A bar that fills a share (0 to 1) of its width, to an eighth of a character."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(width)


def classes(classifications: Sequence[Classification]) -> list[str]:
    """One line a class: its name, its probability, and a bar of it."""
    widest = max((len(entry.label) for entry in classifications), default=0)
    return [
        f"{entry.label:<{widest}}  {entry.probability:6.1%}  {bar(entry.probability)}".rstrip()
        for entry in classifications
    ]


def matrix(values: ArrayLike, title: str, *, signed: bool = False) -> list[str]:
    """A matrix of whole numbers, columns aligned, under a title; with the sign of positive ones where wanted."""
    texts = [[f"{round(float(number)):{'+' if signed else ''}d}" for number in row] for row in np.asarray(values)]
    width = max(len(text) for row in texts for text in row)
    return [title, *(" ".join(f"{text:>{width}}" for text in row) for row in texts)]


def side_by_side(*blocks: Sequence[str], gap: str = "   ") -> list[str]:
    """Blocks of lines next to each other, their tops aligned."""
    height = max(map(len, blocks))
    widths = [max(map(len, block)) for block in blocks]
    padded = [[*block, *[""] * (height - len(block))] for block in blocks]
    return [
        gap.join(f"{line:<{width}}" for line, width in zip(row, widths, strict=True)).rstrip()
        for row in zip(*padded, strict=True)
    ]
