"""The errors that end an export; each message is one sentence for the person, or the script, that started it.

    ExportError
    ├── BadInput              an option, file or folder does not fit; the sentence says what does
    └── VerificationFailed    the export is not what it must be, and nothing was published

Anything else that is raised is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence


class ExportError(Exception):
    """Base of the errors whose message is meant for people."""


class BadInput(ExportError):
    """What was given cannot be exported, or not to there."""


class VerificationFailed(ExportError):
    """At least one check failed."""

    def __init__(self, failures: Sequence[str]) -> None:
        super().__init__("; ".join(failures))
        self.failures = tuple(failures)
        """One sentence a failed check."""
