"""Writes constraints.txt: one version of everything that any of our extras and groups installs, as pip resolves it.

    make constraints              the newest of everything; the hashed locks and the list of licences follow
    make constraints HOLD=torch   the same, but torch (or several names, separated by commas) stays where it is

Nothing is installed: pip only resolves. Run it on Linux x86_64, where every extra exists.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
# What PyPI's CUDA build of torch requires beside itself. We install its CPU build, so these are not pinned.
CUDA_COMPANIONS = re.compile(r"(nvidia|cuda)-.*|triton")

# The extras that bring ONNX Runtime's build for GPUs, which does not go into one environment with the other build.
CUDA_EXTRAS = {"server", "cuda"}
RESOLVE = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]

HEADER = """\
# The versions that `make` installs, that tests pass with, and that a careful user installs with:
#   pip install -c constraints.txt "convserve[server]"
# Written by `make constraints`. Users without it get what pyproject.toml allows.
"""


def wishes() -> tuple[list[str], list[str]]:
    """What to ask pip for so that everything is covered: all but the GPU's extras with all groups, and those extras.

    What builds our wheel is among the first.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = sorted(set(project["project"]["optional-dependencies"]) - CUDA_EXTRAS)
    groups = [option for group in sorted(project["dependency-groups"]) for option in ("--group", group)]
    most = ["--editable", f".[{','.join(extras)}]", *groups]
    most += project["build-system"]["requires"]
    return most, ["--editable", f".[{','.join(sorted(CUDA_EXTRAS))}]"]


def resolve(wish: Sequence[str], held: Iterable[str]) -> dict[str, str]:
    """Name and version of all that pip would install into an empty environment."""
    with tempfile.TemporaryDirectory() as folder:
        holding = Path(folder, "held.txt")
        holding.write_text("\n".join(held))
        report = Path(folder, "report.json")
        subprocess.run(
            [*RESOLVE, "--constraint", str(holding), "--report", str(report), *wish],
            check=True,
            cwd=ROOT,
        )
        installed = json.loads(report.read_text())["install"]
    return {entry["metadata"]["name"].lower(): entry["metadata"]["version"] for entry in installed}


def pins(versions: dict[str, str]) -> list[str]:
    """One line for each. A pin without the local part (`+cpu`) is met by every build of that version."""
    return sorted(f"{name}=={version.partition('+')[0]}" for name, version in versions.items() if name != "convserve")


def main() -> int:
    parser = argparse.ArgumentParser(description="Renew constraints.txt.")
    parser.add_argument("--hold", default="", help="names to leave at the version that they have, separated by commas")
    names = {name.lower() for name in parser.parse_args().hold.split(",")}
    held = [line for line in CONSTRAINTS.read_text().splitlines() if line.partition("==")[0] in names]
    most, cuda = wishes()
    resolved = resolve(most, held)
    versions = {name: version for name, version in resolved.items() if not CUDA_COMPANIONS.fullmatch(name)}
    # What both need is settled by the first.
    versions |= resolve(cuda, [*held, *pins(versions)])
    CONSTRAINTS.write_text(HEADER + "\n".join(pins(versions)) + "\n")
    print(f"wrote {len(pins(versions))} pins to {CONSTRAINTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
