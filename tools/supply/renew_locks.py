"""Writes the hashed locks in requirements/, at the versions of constraints.txt: the second step of `make constraints`.

uv resolves, for every platform at once, and takes the hashes of all files from the index without downloading them. No
index is named in a lock: whichever serves the same files will do.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import urlopen

from tools.install import PYTORCH_CPU_INDEX
from tools.renew_constraints import CUDA_COMPANIONS
from tools.supply import locks
from tools.supply.locks import BUILD, CLIENT, ROOT, Pin

OLDEST_PYTHON = "3.11"
COMPILE = [sys.executable, "-m", "uv", "--quiet", "pip", "compile", "--no-config", "--universal"]
COMPILE += ["--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-annotate", "--no-header"]
# A host that does not answer costs seconds.
PATIENCE_SECONDS = 20.0

HEADER = """\
# {what}, and all that it needs, on any platform:
#   pip install --require-hashes -r requirements/{name}.txt
# Written by `make constraints`. It names no index: any that has these files will do.
{note}# A source distribution would fetch unhashed tools to build itself with.
--only-binary :all:
"""
TORCH_NOTE = """\
# torch for Linux is the CPU build, which is on PyTorch's own index and not on PyPI (README.md, "torch"): pip refuses
# PyPI's build for Linux, which is for CUDA, as a file with another hash.
"""


def compiled(source: str, *options: str, text: str | None = None, constrained: bool = True) -> list[Pin]:
    """What uv resolves of a file, or of the text given for ``-``, at the versions of constraints.txt."""
    limits = ["--constraints", str(ROOT / "constraints.txt")] if constrained else []
    done = subprocess.run([*COMPILE, *limits, *options, source], cwd=ROOT, input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"uv could not resolve {text or ' '.join(options) or source}:\n{done.stderr}")
    return locks.parse(done.stdout)


def cuda_companions(torch: str) -> list[str]:
    """The distributions that PyPI's CUDA build of this version of torch requires, and its CPU build does not."""
    pins = compiled("-", text=f"torch=={torch}\n", constrained=False)
    return [pin.name for pin in pins if CUDA_COMPANIONS.fullmatch(pin.name)]


def cuda_builds(torch: str) -> set[str]:
    """The hashes of PyPI's wheels of torch for Linux, all of which are for CUDA."""
    done = subprocess.run(
        [*COMPILE, "--no-deps", "--format", "pylock.toml", "-"],
        cwd=ROOT,
        input=f"torch=={torch}\n",
        capture_output=True,
        text=True,
        check=True,
    )
    [package] = tomllib.loads(done.stdout)["packages"]
    wheels = [wheel for wheel in package["wheels"] if "linux" in wheel["url"].rpartition("/")[2]]
    return {f"sha256:{wheel['hashes']['sha256']}" for wheel in wheels}


def cpu_builds(page: str, version: str) -> list[str]:
    """The hashes that a package index's page gives for the CPU builds of a version."""
    links = re.findall(r'href="([^"#]+)#(sha256)=([0-9a-f]{64})"', page)
    return [f"{kind}:{digest}" for link, kind, digest in links if f"/torch-{version}+cpu-" in "/" + unquote(link)]


def cpu_hashes(version: str, known: Iterable[Pin]) -> set[str]:
    """Hashes of torch's CPU builds: from PyTorch's index where it answers, else those that the lock has already."""
    try:
        with urlopen(f"{PYTORCH_CPU_INDEX}/torch/", timeout=PATIENCE_SECONDS) as answer:
            return set(cpu_builds(answer.read().decode(), version))
    except OSError as error:
        print(f"{PYTORCH_CPU_INDEX} does not answer ({error}): torch's CPU builds stay as they are in the lock")
    kept = {each for pin in known if (pin.name, pin.version) == ("torch", version) for each in pin.hashes}
    return kept | _cpu_build_here(version)


def _cpu_build_here(version: str) -> set[str]:
    """The hash of the CPU build that pip's own configuration finds for this machine, if it finds one."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), f"torch=={version}"], check=True)
        [entry] = json.loads(report.read_text())["install"]
    digest = entry["download_info"]["archive_info"]["hashes"]["sha256"]
    return {f"sha256:{digest}"} if entry["metadata"]["version"].endswith("+cpu") else set()


def without_cuda(extra: str) -> list[Pin]:
    """An extra that brings torch, with its CPU build: on Linux that is not the one on PyPI.

    The hashes of PyPI's builds for Linux are left out. pip prefers files whose hash the index tells, and would take one
    of them before a CPU build that lies in a folder.
    """
    version = locks.constraints()["torch"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as excluded:
        excluded.write("\n".join(cuda_companions(version)))
        excluded.flush()
        pins = compiled("pyproject.toml", "--extra", extra, "--excludes", excluded.name)
    known = locks.read(extra) if locks.path(extra).exists() else []
    more, less = cpu_hashes(version, known), cuda_builds(version)
    return [replace(p, hashes=tuple(sorted({*p.hashes, *more} - less))) if p.name == "torch" else p for p in pins]


def resolved(name: str, pyproject: dict[str, Any]) -> list[Pin]:
    """The pins of the lock of that name."""
    if name == BUILD:
        return compiled("-", text="\n".join(pyproject["build-system"]["requires"]) + "\n")
    if name == CLIENT:
        return compiled("pyproject.toml")
    if any(line.startswith("torch") for line in pyproject["project"]["optional-dependencies"][name]):
        return without_cuda(name)
    return compiled("pyproject.toml", "--extra", name)


def render(name: str, pins: Iterable[Pin]) -> str:
    """A lock as it is written to disk."""
    what = {CLIENT: "The client", BUILD: "What builds our wheel"}.get(name, f"The extra `{name}`")
    pins = sorted(pins, key=lambda pin: (pin.name, pin.version))
    note = TORCH_NOTE if any(pin.name == "torch" for pin in pins) else ""
    return HEADER.format(what=what, name=name, note=note) + "".join(f"{pin}\n" for pin in pins)


def main() -> int:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    locks.FOLDER.mkdir(exist_ok=True)
    wanted = locks.names(text)
    for name in wanted:
        pins = resolved(name, tomllib.loads(text))
        locks.path(name).write_text(render(name, pins), encoding="utf-8")
        print(f"wrote {len(pins)} pins with hashes to requirements/{name}.txt")
    for stale in set(locks.FOLDER.glob("*.txt")) - {locks.path(name) for name in wanted}:
        stale.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
