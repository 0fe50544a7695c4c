"""How the log is written: for people, or one JSON object a line. Nobody who is logged can forge a line of either."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType

from convserve_server.observe.safe_text import quoted, safe

LONGEST_MESSAGE = 4000
LONGEST_VALUE = 256
LONGEST_TRACEBACK = 20_000
"""Characters, before what is not printable is escaped."""

_NOTED = "fields"
_Failure = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class TextFormatter(logging.Formatter):
    """Lines for people. Those of a traceback are marked, so that none of them can pass for a record."""

    def __init__(self, prefix: str = "") -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, and its traceback below."""
        message = safe(record.getMessage(), LONGEST_MESSAGE)
        fields = "".join(f" {name}={quoted(value, LONGEST_VALUE)}" for name, value in _fields(record).items())
        lines = [f"{self.formatTime(record)} {record.levelname:<7} {self._prefix}{message}{fields}"]
        lines += [f"  | {safe(line, LONGEST_MESSAGE)}" for line in _trace(record).splitlines()]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """Lines for machines: time (UTC, ISO 8601), level, logger, message, and what else is known."""

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._more = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The record as one JSON object in ASCII, on one line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, object] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": safe(record.getMessage(), LONGEST_MESSAGE),
            **self._more,
        }
        for name, value in _fields(record).items():
            line[name] = safe(value, LONGEST_VALUE) if isinstance(value, str) else value
        if trace := _trace(record):
            line["traceback"] = "\n".join(safe(part, LONGEST_MESSAGE) for part in trace.splitlines())
        return json.dumps(line)


def _fields(record: logging.LogRecord) -> dict[str, str | int | float]:
    fields: dict[str, str | int | float] = getattr(record, _NOTED, {})
    return fields


def _trace(record: logging.LogRecord) -> str:
    """The traceback or the stack of a record; the end of a long one, where it says what happened."""
    parts = [_formatted(record.exc_info)] if record.exc_info else []
    parts += [record.stack_info] if record.stack_info else []
    return "\n".join(parts)[-LONGEST_TRACEBACK:]


def _formatted(failure: _Failure) -> str:
    return logging.Formatter().formatException(failure) if failure[0] is not None else ""


def set_up_logging(level: str, style: str, worker: int | None = None) -> None:
    """Write the log to standard error, as ``style`` says: text or json. ``worker`` is the number of this process."""
    handler = logging.StreamHandler(sys.stderr)
    prefix = "" if worker is None else f"worker {worker}: "
    handler.setFormatter(JsonFormatter(worker) if style == "json" else TextFormatter(prefix))
    logging.basicConfig(level=level.upper(), handlers=[handler])
