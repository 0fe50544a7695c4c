"""What a soak has shown: broken rules in sentences, a table for people, a document for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.soak.flatness import growth, quarters
from benchmarks.soak.run import Outcome, Shape

_SHOWN = 12
_MOST_COMPLAINTS = 20


def broken_rules(outcome: Outcome, log: Path) -> list[str]:
    """What must not have happened; empty where all is well."""
    found = [*outcome.findings.sentences, *growth(outcome.samples, outcome.before, outcome.after)]
    return found + _complaints(log.read_text(errors="replace"), outcome.spoilt)


def _complaints(log: str, spoilt: Sequence[Path]) -> list[str]:
    """What the server itself found wrong, such as a call that was answered twice or never.

    That it refused what was spoilt on purpose is as it should be.
    """
    expected = tuple(f" refused {folder}: " for folder in spoilt)
    return [
        f"the server's log says: {line}"
        for line in log.splitlines()
        if ("ERROR" in line or "Traceback" in line) and not any(e in line for e in expected)
    ][:_MOST_COMPLAINTS]


def text(outcome: Outcome, rules: Sequence[str]) -> str:
    """For people."""
    findings = outcome.findings
    lines = [f"{findings.outcomes.total():,} calls and other events, not counting those of clients that were killed"]
    lines += [f"  {what:45} {count:>10,}" for what, count in sorted(findings.outcomes.items())]
    lines.append("seconds  memory MB  threads  descriptors   (before the load, during it, after it)")
    every = max(1, len(outcome.samples) // _SHOWN)
    for sample in (outcome.before, *outcome.samples[::every], outcome.after):
        memory, threads, descriptors = sample.memory_mb, sample.threads, sample.descriptors
        lines.append(f"{sample.seconds:7.0f}  {memory:9.1f}  {threads:7}  {descriptors:11}")
    if (held := quarters(outcome.samples)) is not None:
        lines.append(
            f"memory between the first and the last quarter after the warm-up: {held.memory_growth:+.2%} "
            f"({held.early.memory_mb:.1f} to {held.late.memory_mb:.1f} MB)"
        )
    lines += [f"violation: {sentence}" for sentence in rules]
    wrong = findings.violations
    lines.append(f"{wrong} went wrong" if wrong else "every call was answered once, with its own result")
    return "\n".join(lines)


def document(outcome: Outcome, rules: Sequence[str], shape: Shape, transport: str) -> dict[str, Any]:
    """For machines, and for the picture."""
    held = quarters(outcome.samples)
    return {
        "machine": machine.describe(),
        "transport": transport,
        "load": asdict(shape),
        "outcomes": dict(sorted(outcome.findings.outcomes.items())),
        "violations": list(rules),
        "quarters": None if held is None else {**asdict(held), "memory_growth": held.memory_growth},
        "before": asdict(outcome.before),
        "after": asdict(outcome.after),
        "samples": [asdict(sample) for sample in outcome.samples],
        "events": [asdict(event) for event in outcome.events],
    }
