"""Where a running server spends its time: the stacks of all its threads, looked at many times a second.

What is counted is time on the clock, not of the CPU: a thread that waits is seen waiting.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import PurePath
from types import CodeType, FrameType

DEEPEST = 200
"""Frames of a stack that are kept, from the inside."""

Stacks = Counter[tuple[str, ...]]
"""How often each stack was seen: the thread, then its frames from the outside in."""


def sample(
    seconds: float,
    rate: float,
    *,
    frames: Callable[[], Mapping[int, FrameType]] = sys._current_frames,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Stacks:
    """Look ``rate`` times a second, for ``seconds``, at all threads but this one.

    Looks for which there is no time any more are left out.
    """
    stacks: Stacks = Counter()
    me, named = threading.get_ident(), dict[CodeType, str]()
    start = clock()
    for look in range(max(1, round(seconds * rate))):
        left = start + look / rate - clock()
        if left > 0:
            sleep(left)
        elif -left > seconds:
            break
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in frames().items():
            if ident != me:
                stacks[names.get(ident, "a thread of C"), *_stack(frame, named)] += 1
    return stacks


def _stack(frame: FrameType | None, named: dict[CodeType, str]) -> tuple[str, ...]:
    found: list[str] = []
    while frame is not None and len(found) < DEEPEST:
        code = frame.f_code
        name = named.get(code)
        if name is None:
            where = "/".join(PurePath(code.co_filename).parts[-2:])
            name = named[code] = f"{code.co_qualname} ({where}:{code.co_firstlineno})".replace(";", ",")
        found.append(name)
        frame = frame.f_back
    return tuple(reversed(found))


def collapsed(stacks: Stacks) -> str:
    """A line for each stack, as flame graph tools read them: frames with semicolons between, and how often."""
    return "".join(f"{';'.join(stack)} {count}\n" for stack, count in sorted(stacks.items()))


def from_collapsed(text: str) -> Stacks:
    """What collapsed() wrote. Raises ValueError for anything else."""
    stacks: Stacks = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[tuple(stack.split(";"))] += int(count)
    return stacks


def speedscope(stacks: Stacks, rate: float) -> str:
    """For https://www.speedscope.app: a profile for each thread."""
    numbers: dict[str, int] = {}
    threads: dict[str, list[tuple[list[int], float]]] = {}
    for (thread, *frames), count in sorted(stacks.items()):
        indexes = [numbers.setdefault(frame, len(numbers)) for frame in frames]
        threads.setdefault(thread, []).append((indexes, count / rate))
    profiles = [
        {
            "type": "sampled",
            "name": thread,
            "unit": "seconds",
            "startValue": 0,
            "endValue": sum(weight for _, weight in seen),
            "samples": [indexes for indexes, _ in seen],
            "weights": [weight for _, weight in seen],
        }
        for thread, seen in threads.items()
    ]
    schema = "https://www.speedscope.app/file-format-schema.json"
    return json.dumps(
        {"$schema": schema, "shared": {"frames": [{"name": name} for name in numbers]}, "profiles": profiles}
    )
