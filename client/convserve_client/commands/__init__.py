"""What each command of the command line does, and what they end with."""

from __future__ import annotations

OK = 0
FAILED = 1


class BadUsage(Exception):
    """An argument or an input file that does not fit: a sentence, and exit code 2."""
