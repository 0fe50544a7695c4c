"""Asks a database of known vulnerabilities about every pin of every lock, with pip-audit.

    python -m tools.supply.audit

Exit code 0: every pin was looked up, and nothing is known against it. 1: something is known. 3: not checked, because
no database could be reached or it did not know some of the pins; `--where-reachable` says so just as loudly and makes
it 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.supply import locks

SERVICES = ("osv", "pypi")
PATIENCE_SECONDS = 15
CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 3


@dataclass(frozen=True)
class Findings:
    """What a database said: sentences on vulnerabilities, and the pins that it could not be asked about, with why."""

    known: tuple[str, ...]
    unchecked: tuple[str, ...]


def findings(report: dict[str, Any], asked: Sequence[locks.Pin]) -> Findings:
    """What pip-audit's JSON report says of the pins that it was asked about."""
    entries = {locks.normal(entry["name"]): entry for entry in report["dependencies"]}
    known, unchecked = [], []
    for pin in asked:
        entry = entries.get(pin.name, {"skip_reason": "the database gave no answer for it"})
        if "skip_reason" in entry:
            unchecked.append(f"{pin.name} {pin.version}: {entry['skip_reason']}")
        for vulnerability in entry.get("vulns", ()):
            fixed = ", ".join(vulnerability["fix_versions"]) or "no release yet"
            known.append(f"{pin.name} {pin.version}: {vulnerability['id']}, mended in {fixed}")
    return Findings(tuple(known), tuple(unchecked))


def combined(answers: Sequence[Findings]) -> Findings:
    """All that any database knows; unchecked is what the one that knew most could not say."""
    known = dict.fromkeys(line for answer in answers for line in answer.known)
    return Findings(tuple(known), min((answer.unchecked for answer in answers), key=len))


def ask(service: str, pins: Sequence[locks.Pin]) -> Findings:
    """What one database says. All is unchecked where it does not answer."""
    with tempfile.TemporaryDirectory() as folder:
        # Without markers: what is installed elsewhere counts, too.
        wanted, report = Path(folder, "pins.txt"), Path(folder, "report.json")
        wanted.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins))
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(wanted), "--no-deps", "--disable-pip"]
        command += ["--vulnerability-service", service, "--timeout", str(PATIENCE_SECONDS)]
        command += ["--format", "json", "--output", str(report), "--progress-spinner", "off"]
        done = subprocess.run(command, capture_output=True, text=True)
        try:
            return findings(json.loads(report.read_text()), pins)
        except (OSError, ValueError, KeyError):
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return Findings((), tuple(f"{pin.name} {pin.version}: {reason}" for pin in pins))


def verdict(found: Findings, *, where_reachable: bool) -> int:
    """The exit code, said in words first."""
    for line in found.known:
        print(f"VULNERABLE {line}", file=sys.stderr)
    if found.unchecked:
        print(
            f"NOT CHECKED for known vulnerabilities: {len(found.unchecked)} pins. {found.unchecked[0]}", file=sys.stderr
        )
    if found.known:
        return VULNERABLE
    if found.unchecked:
        return CLEAN if where_reachable else NOT_CHECKED
    print("checked for known vulnerabilities: none")
    return CLEAN


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Look for known vulnerabilities of everything in the locks.")
    parser.add_argument("--where-reachable", action="store_true", help="exit 0 where no database can be reached")
    options = parser.parse_args(arguments)
    pins = locks.merged(map(locks.read, locks.names((locks.ROOT / "pyproject.toml").read_text("utf-8"))))
    answers = []
    for service in SERVICES:
        answers.append(ask(service, pins))
        if not answers[-1].unchecked:
            break
    return verdict(combined(answers), where_reachable=options.where_reachable)


if __name__ == "__main__":
    sys.exit(main())
