"""What an export tells: lines for people as it goes, or one JSON object for scripts in the end; failures on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # they import torch, and this module also speaks where there is none
    from convserve_export.candidate import Candidate
    from convserve_export.check import Check
    from convserve_export.exporting import Outcome


_MARKS = {(True, True): "ok  ", (True, False): "ok  ", (False, True): "FAIL", (False, False): "no  "}


class Report:
    """Listens to an export. With ``as_json`` stdout gets one JSON object and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._started = time.perf_counter()
        self.checks: list[tuple[str, Check]] = []
        """What has been checked, with the name of its model."""

    def say(self, text: str) -> None:
        """Lines for people."""
        if not self._as_json:
            print(text, flush=True)

    def step(self, candidate: Candidate, doing: str) -> None:
        """See Listener."""
        self.say(f"\n{candidate.name}: {doing} ...")

    def checked(self, candidate: Candidate, check: Check) -> None:
        """See Listener."""
        self.checks.append((candidate.name, check))
        self.say(f"  {_MARKS[check.passed, check.required]}  {check.name:<30}{check.detail}")

    def end(self, exit_code: int, outcomes: Sequence[Outcome], failures: Sequence[str]) -> None:
        """Say what is where, or what was wrong."""
        for failure in failures:
            print(f"convserve-export: {' '.join(failure.split())}", file=sys.stderr)
        if self._as_json:
            print(json.dumps(self._object(exit_code, outcomes, failures), indent=2))
            return
        for outcome in outcomes:
            about = outcome.manifest
            done = "published" if outcome.published else "there already"
            files = ", ".join(f"{f.name} {f.size:,} bytes" for f in about.files)
            self.say(f"\n{done}: {about.name} version {about.version} in {outcome.path}\n  {files}")
        if not failures:
            self.say(f"\ndone in {time.perf_counter() - self._started:.1f} s")

    def _object(self, exit_code: int, outcomes: Sequence[Outcome], failures: Sequence[str]) -> dict[str, Any]:
        return {
            "exit_code": exit_code,
            "models": [
                {
                    "path": str(outcome.path),
                    "published": outcome.published,
                    "manifest": outcome.about,
                }
                for outcome in outcomes
            ],
            "checks": [
                {
                    "model": model,
                    "name": check.name,
                    "passed": check.passed,
                    "required": check.required,
                    "detail": check.detail,
                }
                for model, check in self.checks
            ],
            "failures": list(failures),
            "seconds": round(time.perf_counter() - self._started, 3),
        }
