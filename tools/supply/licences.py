"""Writes THIRD_PARTY_LICENSES.md: every distribution of every lock, with the licence that its own metadata states.

    python -m tools.supply.licences            write it anew, the third step of `make constraints`
    python -m tools.supply.licences --check    fail where a licence is not one of those that we accept

Nothing is installed: pip reads the metadata of each wheel from the index.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from tools.supply import locks
from tools.supply.spdx import is_satisfied
from tools.supply.table import TABLE, Licence, read, render

REPORT = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed"]
# Only a wheel's directory and its metadata are fetched, where the index allows that: CUDA's libraries are gigabytes.
REPORT += ["--use-feature=fast-deps"]

# What may be in a published install: nothing here asks anything of those who use convserve beyond keeping notices.
# MPL-2.0 asks for the source of changed files; we change none. (certifi, which is a list of certificates, has it.)
ACCEPTED = {
    *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0"),
    *("ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib"),
}
# NVIDIA's libraries are under NVIDIA's own terms. They are what the extra `cuda` is for, and come with nothing else.
NVIDIA = "LicenseRef-NVIDIA-Proprietary"

# Words of metadata older than SPDX expressions.
SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license v2.0": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "mit license": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: The Unlicense (Unlicense)": "Unlicense",
}
# Metadata that says nothing: what the licence file in the wheel is.
KNOWN = {
    "sigstore-models": "MIT",
}


class NoLicence(Exception):
    """A distribution's metadata names no licence that we understand; the message says what it does say."""


def stated(metadata: Mapping[str, Any]) -> str:
    """The SPDX expression that a distribution's metadata comes to. Raises NoLicence."""
    name = locks.normal(metadata["name"])
    classifiers = [line for line in metadata.get("classifier", ()) if line.startswith("License :: OSI Approved ::")]
    for said in (metadata.get("license_expression"), metadata.get("license"), *classifiers, KNOWN.get(name)):
        said = SPELLINGS.get(said or "", SPELLINGS.get((said or "").strip().lower(), said or ""))
        try:
            return str(canonicalize_license_expression(said))
        except InvalidLicenseExpression:
            continue
    raise NoLicence(f"{name} states no licence that is understood: look at its project, and add it to KNOWN")


def accepted(name: str, expression: str, wanted_by: Iterable[str]) -> bool:
    """True when a published install may have it."""
    if expression == NVIDIA:
        return name.startswith("nvidia-") and set(wanted_by) == {"cuda"}
    return is_satisfied(expression, ACCEPTED)


def metadata_of(pins: Iterable[locks.Pin]) -> list[dict[str, Any]]:
    """The metadata of each pin, as the configured index has it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        wanted = [f"{pin.name}=={pin.version}" for pin in pins]
        subprocess.run([*REPORT, "--report", str(report), *wanted], check=True)
        return [entry["metadata"] for entry in json.loads(report.read_text())["install"]]


def gather() -> list[Licence]:
    """A row for each pin of each lock."""
    by_lock = {name: locks.read(name) for name in locks.names((locks.ROOT / "pyproject.toml").read_text("utf-8"))}
    pins = locks.merged(by_lock.values())
    expressions = {locks.normal(metadata["name"]): stated(metadata) for metadata in metadata_of(pins)}
    return [
        Licence(
            pin.name,
            pin.version,
            expressions[pin.name],
            tuple(name for name, lock in by_lock.items() if pin.name in {each.name for each in lock}),
        )
        for pin in pins
    ]


def refused(rows: Iterable[Licence]) -> list[str]:
    """A sentence for each distribution whose licence is not one that we accept."""
    return [
        f"{row.name} {row.version} is under {row.expression}, which is not accepted for {', '.join(row.locks)}"
        for row in rows
        if not accepted(row.name, row.expression, row.locks)
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write THIRD_PARTY_LICENSES.md, or check it.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail for a licence that is not accepted")
    if not parser.parse_args(arguments).check:
        try:
            TABLE.write_text(render(gather()), encoding="utf-8")
        except NoLicence as error:
            print(error, file=sys.stderr)
            return 1
        print(f"wrote {TABLE.name}")
    complaints = refused(read())
    print("\n".join(complaints), end="\n" if complaints else "", file=sys.stderr)
    return bool(complaints)


if __name__ == "__main__":
    sys.exit(main())
