"""Logits to probabilities and the best classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranking:
    """The best classes of each row, best first; of equal logits the lower index comes first."""

    indices: list[list[int]]
    probabilities: list[list[float]]
    """Softmax over all classes in float64: those of all classes of a row sum to 1 within rounding."""
    finite: list[bool]
    """False for a row with a logit that is infinite or not a number; its indices and probabilities mean nothing."""


def rank(logits: NDArray[np.floating], top_k: int) -> Ranking:
    """Rank logits ``[rows, classes]``; ``top_k`` above the number of classes means all of them."""
    scores = logits.astype(np.float64)
    finite = np.isfinite(scores)
    rows_finite = [True] * len(scores)
    if not finite.all():
        rows_finite = [bool(row.all()) for row in finite]
        scores[~finite] = 0
    indices = (-scores).argsort(axis=1, kind="stable")[:, :top_k]
    # Less the row's largest, so that exp cannot overflow and the sum is at least 1.
    scores -= scores.max(axis=1, keepdims=True)
    weights = np.exp(scores, out=scores)
    weights /= weights.sum(axis=1, keepdims=True)
    best = weights[np.arange(len(weights))[:, np.newaxis], indices]
    return Ranking(indices.tolist(), best.tolist(), rows_finite)
