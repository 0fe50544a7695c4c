"""provenance.json, how an export went: what differs from run to run, kept beside the files that do not.

It says when, with which figures and on which kind of CPU an artifact was proven; its hash and that of report.html are
in provenance.sha256. Nothing in it decides how the model is served.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from convserve_proto.cpu_kind import cpu_kind

from convserve_export.check import Comparison

FILE = "provenance.json"
FORMAT = 1


def describe(comparisons: Iterable[Comparison], **more: Any) -> dict[str, Any]:
    """The provenance of a verified candidate; ``more`` are parts that not every export has."""
    return {
        "format": FORMAT,
        "exported": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": cpu_kind(),
        "comparisons": [_comparison(c) for c in comparisons],
        **more,
    }


def to_bytes(provenance: dict[str, Any], manifest: bytes) -> bytes:
    """The file's content beside this manifest."""
    complete = {**provenance, "manifest_sha256": hashlib.sha256(manifest).hexdigest()}
    return (json.dumps(complete, indent=2, ensure_ascii=False) + "\n").encode()


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "form": comparison.form,
        "inputs": comparison.case.kind,
        "batch_size": comparison.case.rows,
        "max_absolute_difference": comparison.difference.absolute,
        "max_tolerance_used": comparison.difference.used,
    }
