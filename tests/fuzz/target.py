"""What a target is, and the oracle: each input gets an answer or a known refusal, soon, and nothing escapes."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
SHARED_MEMORY = Path("/dev/shm")
IN_MEMORY = str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None
"""Where files are written that live for one input."""
SECONDS = 5.0
"""CPU seconds that one small input may take: far above what any takes, far below what a caller could call a hang."""

Try = Callable[[bytes], str]
"""Feeds one input and tells how it was answered; raises for what must not happen."""


class Finding(AssertionError):
    """Something that no input may bring about."""


@dataclass(frozen=True)
class Target:
    """One parser of bytes from outside."""

    name: str
    opened: Callable[[], AbstractContextManager[Try]]
    seeds: Callable[[], Iterable[bytes]]
    """Inputs that are answered, to begin with; made anew by `python -m fuzz.make_seeds`."""
    structured: bool = True
    """Whether inputs are protobuf messages, which are mutated field by field."""

    def corpus(self) -> list[tuple[str, bytes]]:
        """The seeds that are kept, by file name."""
        return [(path.name, path.read_bytes()) for path in sorted((CORPUS / self.name).iterdir())]


class _Tracebacks(logging.Handler):
    """Keeps what is logged with a traceback: each is a bug, whatever the caller was told."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.stack_info:
            self.records.append(record)


@contextmanager
def judged(target: Target) -> Iterator[Try]:
    """The target, held to the rules that are the same for all. The process's log is as before at the end."""
    logger, root, seen = logging.getLogger("convserve_server"), logging.getLogger(), _Tracebacks()
    level, propagate = logger.level, logger.propagate
    filters = [(handler, list(handler.filters)) for handler in root.handlers]
    logger.addHandler(seen)
    # Millions of refusals are said to nobody.
    logger.propagate = False
    try:
        with warnings.catch_warnings(), target.opened() as attempt:
            warnings.simplefilter("error")
            # What others' parsers say of odd input: the server ignores the one's, and the other's are no errors.
            warnings.filterwarnings("ignore", module=r"PIL\.|google\.protobuf")
            yield lambda data: _judge(attempt, data, seen)
    finally:
        logger.removeHandler(seen)
        logger.setLevel(level)
        logger.propagate = propagate
        for handler, before in filters:
            handler.filters = before


def _judge(attempt: Try, data: bytes, seen: _Tracebacks) -> str:
    seen.records.clear()
    started = time.process_time()
    try:
        outcome = attempt(data)
    except Finding as finding:
        raise finding from finding.__cause__ or _cause(seen)
    seconds = time.process_time() - started
    if seen.records:
        raise Finding(f"logged as a bug: {seen.records[0].getMessage()}") from _cause(seen)
    if seconds > SECONDS:
        raise Finding(f"one input of {len(data)} bytes took {seconds:.1f} s of CPU time")
    return outcome


def _cause(seen: _Tracebacks) -> BaseException | None:
    """The error that was logged first."""
    errors = (record.exc_info[1] for record in seen.records if record.exc_info)
    return next(errors, None)
