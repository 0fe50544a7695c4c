"""``convserve-export verify DIR``: check published artifacts again, without torch and without the network's code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from convserve_export.check import Check
from convserve_export.errors import BadInput
from convserve_export.junit import write_junit
from convserve_export.rechecking import artifacts_in, recheck


def parser() -> argparse.ArgumentParser:
    """Every option of ``verify``."""
    new = argparse.ArgumentParser(
        prog="convserve-export verify",
        description="Check artifacts again: hashes, ONNX checker, signatures, parameter counts, and answers on stored "
        "reference inputs. Needs onnx and ONNX Runtime, not torch.",
        epilog="Exit codes: 0 all is as it was exported, 1 something is not, 2 bad input.",
    )
    new.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="an artifact, a model, or a repository")
    new.add_argument("--public-key", type=Path, metavar="PEM", help="also require a signature by this key's owner")
    new.add_argument("--junit", type=Path, metavar="FILE", help="write a JUnit XML report")
    new.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return new


def verify(arguments: Sequence[str]) -> int:
    """Run the command; returns 0 or 1. Raises BadInput where there is nothing to check."""
    options = parser().parse_args(arguments)
    found: list[tuple[str, Check]] = []
    for folder in [f for given in options.folders for f in artifacts_in(given)]:
        if not options.json:
            print(f"\n{folder}", flush=True)
        for check in _checks(folder, options.public_key):
            found.append((str(folder), check))
            if not options.json:
                print(f"  {'ok  ' if check.passed else 'FAIL'}  {check.name:<34}{check.detail}", flush=True)
    failures = [f"{folder}: {c.name}: {c.detail}" for folder, c in found if not c.passed]
    if options.junit is not None:
        write_junit(options.junit, found)
    for failure in failures:
        print(f"convserve-export: {failure}", file=sys.stderr)
    if options.json:
        checks = [{"artifact": f, "name": c.name, "passed": c.passed, "detail": c.detail} for f, c in found]
        print(json.dumps({"exit_code": int(bool(failures)), "checks": checks, "failures": failures}, indent=2))
    return 1 if failures else 0


def _checks(folder: Path, public_key: Path | None) -> list[Check]:
    checks = list(recheck(folder))
    if public_key is not None:
        from convserve_proto.signing import SignatureFault, verify_signature

        try:
            verify_signature(folder, public_key)
        except SignatureFault as error:
            checks.append(Check("signature", False, str(error)))
        except OSError as error:
            raise BadInput(f"the public key {public_key} cannot be read: {error.strerror}") from error
        else:
            checks.append(Check("signature", True, f"signed by the owner of {public_key.name}"))
    return checks
