"""Runs a target on mutated seeds, counts, keeps what was found, and watches memory."""

from __future__ import annotations

import hashlib
import re
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.mutation import mutate
from fuzz.target import Finding, Target, Try, judged

FOUND = Path("build/fuzz")
MOST_KINDS = 3000
"""Inputs that are kept in memory because their answer was a new one, beside the seeds."""
_SAME = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^]]*\]|[-+]?\d[\d.,e+-]*|\b(nan|inf)\b")
_PAGE = 4096


@dataclass
class Figures:
    """What came of a run."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    kinds: int = 0
    """Answers that differ in more than names and numbers."""
    memory: list[int] = field(default_factory=list)
    """MB of this process after a tenth of the run, and at its end."""
    found: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        memory = " -> ".join(f"{size} MB" for size in self.memory)
        return (
            f"{self.target}: {self.inputs:,} inputs in {self.seconds:.0f} s "
            f"({self.inputs / max(self.seconds, 0.001):,.0f} a second), {self.kinds} kinds of answers, "
            f"memory {memory}, {len(self.found)} findings"
        )


def run(target: Target, *, inputs: int, seconds: float = float("inf"), seed: int = 0) -> Figures:
    """Feed seeds, then mutations of them, until so many inputs or seconds are through. Findings go to build/fuzz."""
    figures, rng = Figures(target.name), Random(seed)
    pool = [data for _, data in target.corpus()]
    kinds: set[str] = set()
    started = time.monotonic()
    with judged(target) as attempt:
        while figures.inputs < inputs and time.monotonic() - started < seconds:
            if figures.inputs == inputs // 10:
                figures.memory.append(resident())
            if figures.inputs < len(pool) and not kinds:
                data = pool[figures.inputs]
            else:
                data = mutate(rng, rng.choice(pool), structured=target.structured)
            figures.inputs += 1
            kind = _tried(attempt, data, figures)
            if kind not in kinds and len(kinds) < MOST_KINDS:
                kinds.add(kind)
                pool.append(data)
    figures.memory.append(resident())
    figures.seconds, figures.kinds = time.monotonic() - started, len(kinds)
    return figures


def _tried(attempt: Try, data: bytes, figures: Figures) -> str:
    """How an input was answered, names and numbers apart."""
    try:
        return _SAME.sub("#", attempt(data))[:300]
    except Exception as error:
        kind = _kind_of(error)
        figures.found[kind] += 1
        if figures.found[kind] == 1:
            print(f"FOUND in {figures.target} by input {figures.inputs:,}, kept as {keep(figures.target, data)}")
            traceback.print_exception(error)
        return kind


def _kind_of(error: BaseException) -> str:
    """Findings of one kind have one cause: the same error from the same line."""
    cause = error.__cause__ if isinstance(error, Finding) and error.__cause__ is not None else error
    last = traceback.extract_tb(cause.__traceback__)[-1]
    return f"{type(cause).__name__} in {last.filename}:{last.lineno} {_SAME.sub('#', str(error))[:100]}"


def keep(target: str, data: bytes) -> Path:
    """Write an input down under the hash of its bytes."""
    folder = FOUND / target
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"found-{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    return path


def resident() -> int:
    """MB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE >> 20
