"""Comparing the outputs of two forms of a network, row by row, within a tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convserve_export.cases import Array


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """A row may differ by ``atol + rtol * the largest absolute value of that row of the reference``.

    Relative to the row and not to each value: values near 0 come from sums of large ones that cancel.
    """

    atol: float = 1e-5
    rtol: float = 1e-4

    def allowed(self, rows: Array) -> Array:
        """float64 ``[N]`` for reference rows ``[N, K]``."""
        largest: Array = np.abs(rows).max(axis=1, initial=0.0)
        return self.atol + self.rtol * largest


@dataclass(frozen=True)
class Difference:
    """How far one output is from its reference, at the worst row."""

    absolute: float
    """Largest absolute difference of any value; NaN where one is not a number."""
    used: float
    """Largest share of the tolerance that a row used; at most 1 where all is well."""
    row: int
    """The row that used it; 0 where the model is not batched."""

    @property
    def within(self) -> bool:
        """False for NaN, too."""
        return self.used <= 1.0


def compare(reference: Array, other: Array, tolerance: Tolerance, *, batched: bool) -> Difference:
    """How far ``other`` is from ``reference``, of the same shape; one that is not batched counts as a single row."""
    expected, got = _rows(reference, batched=batched), _rows(other, batched=batched)
    # Infinite values make NaN here, which is never within the tolerance.
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(got - expected).max(axis=1, initial=0.0)
        used = differences / tolerance.allowed(expected)
    row = int(np.argmax(used))  # the first NaN, where there is one
    return Difference(float(differences.max()), float(used[row]), row)


def disagreeing_rows(reference: Array, other: Array, tolerance: Tolerance) -> list[int]:
    """Rows whose largest value is at another place, although the reference's two largest differ by more than allowed.

    Both are ``[N, K]``.
    """
    expected, got = _rows(reference, batched=True), _rows(other, batched=True)
    if expected.shape[1] < 2:
        return []
    runner_up, best = np.partition(expected, -2, axis=1)[:, -2:].T
    clear = best - runner_up > tolerance.allowed(expected)
    return [int(i) for i in np.flatnonzero(clear & (expected.argmax(axis=1) != got.argmax(axis=1)))]


def _rows(array: Array, *, batched: bool) -> Array:
    wide = np.asarray(array, np.float64)
    return wide.reshape(len(wide) if batched else 1, -1)
