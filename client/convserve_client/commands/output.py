"""What people and scripts read: sentences for errors, JSON, tables, bars, and files that are whole or not there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convserve_client.commands import BadUsage
from convserve_client.errors import CallError, DeadlineExceeded, ResourceExhausted, Unavailable


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def as_sentence(error: BaseException) -> str:
    """An error, and what to do about it."""
    if isinstance(error, Unavailable):
        return _unavailable(error)
    if isinstance(error, DeadlineExceeded):
        return f"{error.message} from {error.target}; allow more with --timeout"
    if isinstance(error, ResourceExhausted) and "larger than max" in error.message:
        return f"{error.message}: a message is over a size limit; see --max-message-mib, and the server's own limit"
    if isinstance(error, CallError):
        return f"{error.message} ({error.code} from {error.target})"
    return str(error)


def _unavailable(error: Unavailable) -> str:
    reason = error.message.rsplit(": ", 1)[-1]
    if "Connection refused" in error.message or "No such file or directory" in error.message:
        return (
            f"no server answers at {error.target} ({reason}). Start one with "
            f"'convserve-server --repository artifacts --listen {error.target}', or name another with --server or "
            "CONVSERVE_SERVER"
        )
    if "DNS" in error.message or "name resolution" in error.message.lower():
        return f"the host of {error.target} cannot be found by its name ({error.message})"
    if "handshake" in error.message.lower() or "certificate" in error.message.lower():
        return f"the connection to {error.target} could not be protected ({error.message}); see the TLS options"
    return f"{error.target} cannot answer now: {error.message}"


def plain(text: str) -> str:
    """``text`` without characters that would steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as aligned columns; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(fraction: float, width: int, encoding: str | None) -> str:
    """A bar for a number from 0 to 1: in eighths of a block where ``encoding`` has blocks, else in #."""
    fraction = min(1.0, max(0.0, fraction))
    try:
        _EIGHTHS.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return "#" * round(fraction * width)
    whole, eighths = divmod(round(fraction * width * 8), 8)
    return "█" * whole + (_EIGHTHS[eighths] if eighths else "")


def check_writable(path: Path) -> None:
    """Raises BadUsage, before anything is sent, where ``path`` cannot be written."""
    if path.is_dir():
        raise BadUsage(f"{path} is a directory; name a file to write")
    if not path.resolve().parent.is_dir():
        raise BadUsage(f"{path} cannot be written: there is no directory {path.resolve().parent}")
    if not os.access(path if path.exists() and not path.is_file() else path.resolve().parent, os.W_OK):
        raise BadUsage(f"{path} cannot be written: permission denied")


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` aside and rename it to ``path``: whoever looks sees the old file or the whole new one."""
    path = path.resolve()
    if path.exists() and not path.is_file():  # a device or a pipe is written to, not replaced
        path.write_bytes(data)
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)


class Progress:
    """How far a long command is, on standard error: live on a terminal, a line every tenth where there are many."""

    def __init__(self, total: int, noun: str) -> None:
        self._total = total
        self._noun = noun
        self._live = sys.stderr.isatty() and total > 1
        self._every = max(1, total // 10) if total >= 100 else None
        self._next = self._every

    def __call__(self, done: int) -> None:
        """Say that ``done`` of all are finished."""
        if self._live:
            end = "\n" if done == self._total else ""
            print(f"\r{done:,} of {self._total:,} {self._noun}", end=end, file=sys.stderr, flush=True)
        elif self._next is not None and self._every is not None and done >= self._next:
            self._next = done - done % self._every + self._every
            print(f"{done:,} of {self._total:,} {self._noun}", file=sys.stderr, flush=True)
