"""What the clients of the soak have seen: outcomes, counted, and what must never happen, in sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_KEPT = 20
"""Sentences about violations that are kept; all are counted."""


@dataclass
class Findings:
    """What one client has seen."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """By kind of call, behaviour and status."""
    violations: int = 0
    sentences: list[str] = field(default_factory=list)

    def violation(self, sentence: str) -> None:
        """Count what must never happen."""
        self.violations += 1
        if len(self.sentences) < _KEPT:
            self.sentences.append(sentence)

    def merge(self, other: Findings) -> None:
        """Add another's."""
        self.outcomes.update(other.outcomes)
        self.violations += other.violations
        self.sentences = (self.sentences + other.sentences)[:_KEPT]
