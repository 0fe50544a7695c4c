"""What a check of an export says: whether it passed, and by what figure."""

from __future__ import annotations

from dataclasses import dataclass

from convserve_export.cases import Case
from convserve_export.comparison import Difference


@dataclass(frozen=True)
class Comparison:
    """One form against the eager module on one case."""

    form: str
    case: Case
    difference: Difference


@dataclass(frozen=True)
class Check:
    """What one check found: a figure where it passed, what is wrong and by how much where it did not."""

    name: str
    passed: bool
    detail: str
    comparisons: tuple[Comparison, ...] = ()
    required: bool = True
    """False where a failure leaves something out, and the rest is published."""


def first_line(error: BaseException) -> str:
    """An error of any library as one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
