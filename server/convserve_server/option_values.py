"""What the text of an option may be, and what it means. Each raises ValueError with what it takes, in words."""

from __future__ import annotations

import math
import re

MOST = 2**31 - 1
"""gRPC's core takes no larger whole number."""


def _whole(text: str, least: int, most: float, expected: str) -> int:
    if not (re.fullmatch(r"[+-]?[0-9]{1,20}", text.strip()) and least <= int(text) <= most):
        raise ValueError(expected)
    return int(text)


def positive(text: str) -> int:
    """A whole number above 0."""
    return _whole(text, 1, math.inf, "a whole number above 0")


def count(text: str) -> int:
    """A whole number, 0 or more."""
    return _whole(text, 0, math.inf, "a whole number, 0 or more")


def for_core(text: str) -> int:
    """A whole number above 0 that gRPC's core takes."""
    return _whole(text, 1, MOST, f"a whole number from 1 to {MOST}")


def yes_or_no(text: str) -> bool:
    """What yes, no, true, false, 1 or 0 mean."""
    if text.lower() not in ("yes", "no", "true", "false", "1", "0"):
        raise ValueError("yes or no")
    return text.lower() in ("yes", "true", "1")


def names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def seconds(text: str) -> float:
    """Seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < 1e6:
        raise ValueError("seconds, from 0 to less than 1,000,000")
    return number


def address(text: str) -> str:
    """HOST:PORT as it was written; an IPv6 host keeps its brackets."""
    host, separator, port = text.rpartition(":")
    if not (separator and host and re.fullmatch("[0-9]{1,5}", port) and int(port) < 65536):
        raise ValueError("HOST:PORT, such as 127.0.0.1:8001, with a port from 0 to 65535")
    return text
