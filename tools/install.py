"""Builds the virtual environment that the Makefile works in: the right torch, one ONNX Runtime, pinned versions.

Needs nothing but the standard library, because it runs before anything is installed:

    python3 tools/install.py --extras export --groups test,lint
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

# `pip install --group` is that young.
PIP = "pip>=25.1"
RUNTIMES = frozenset(["server", "server-cpu", "cuda"])

# A host that does not answer costs seconds, not the minutes that pip's own patience would take.
PROBE_SECONDS = 30.0
PROBE_OPTIONS = ["--timeout", "5", "--retries", "1"]
# Downloads of this many megabytes are named while they run.
WORTH_NAMING_MB = 5.0


class InstallFailed(Exception):
    """A step went wrong; the message says which and what to look at."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an environment is asked to hold: extras and dependency groups of pyproject.toml."""

    extras: frozenset[str]
    groups: frozenset[str]
    # The extras that bring ONNX Runtime; none means whichever is there, else the small one.
    runtime: frozenset[str]
    # Where to take torch from; empty means a CPU build from wherever there is one.
    torch_index: str

    def is_met_by(self, record: Record) -> bool:
        """True when an earlier run installed at least this. A chosen torch is never taken for granted."""
        return not self.torch_index and (self.extras | self.runtime) <= record.extras and self.groups <= record.groups


@dataclass(frozen=True)
class Record:
    """What earlier runs installed from the same pyproject.toml and constraints.txt."""

    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


class Environment:
    """A virtual environment, and pip in it. Everything that pip says goes to `install.log` inside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        self.log = folder / "install.log"
        self._record = folder / "installed.json"

    def create(self) -> None:
        """Makes it where it is missing, with a pip that is new enough."""
        if not self.python.exists():
            say(f"creating {self.folder} with Python {sys.version.split()[0]}")
            made = subprocess.run([sys.executable, "-m", "venv", str(self.folder)], capture_output=True, text=True)
            if made.returncode:
                raise InstallFailed(f"python -m venv failed:\n{made.stdout}{made.stderr}")
        self.log.write_text("")
        self.pip("install", "--upgrade", PIP)

    def pip(self, *arguments: str) -> None:
        """Runs pip, naming what takes long. Raises InstallFailed with the end of its output."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments]
        with (
            self.log.open("a") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                if note := progress(line):
                    say(note)
        if process.returncode:
            tail = "".join(self.log.read_text().splitlines(keepends=True)[-25:])
            raise InstallFailed(f"pip {' '.join(arguments)} failed; all of its output is in {self.log}:\n{tail}")

    def probe(self, *arguments: str) -> str | None:
        """What pip answers to a question, or None when it has no answer within PROBE_SECONDS."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments, *PROBE_OPTIONS]
        try:
            asked = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return asked.stdout if asked.returncode == 0 else None

    def installed(self) -> dict[str, str]:
        """Name and version of every distribution in it."""
        listed = subprocess.run(
            [str(self.python), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
            capture_output=True,
            text=True,
            check=True,
        )
        return {entry["name"].lower(): entry["version"] for entry in json.loads(listed.stdout)}

    def read_record(self) -> Record:
        """What is known to be there; nothing when pins or dependencies have changed since."""
        try:
            written = json.loads(self._record.read_text())
            if written["definitions"] == definitions():
                return Record(frozenset(written["extras"]), frozenset(written["groups"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return Record()

    def write_record(self, record: Record) -> None:
        content = {
            "definitions": definitions(),
            "extras": sorted(record.extras),
            "groups": sorted(record.groups),
        }
        self._record.write_text(json.dumps(content, indent=2) + "\n")


def definitions() -> str:
    """A digest of the files that say what is installed."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()


def progress(line: str) -> str | None:
    """What is worth telling of a line of pip's output: large downloads, and the long silence at the end."""
    if match := re.match(r"\s*Downloading (\S+) \(([\d.]+) MB\)", line):
        name, megabytes = unquote(match.group(1)).rpartition("/")[2], float(match.group(2))
        return f"  downloading {name} ({megabytes:.0f} MB)" if megabytes >= WORTH_NAMING_MB else None
    if match := re.match(r"Installing collected packages: (.*)", line):
        names = match.group(1).split(", ")
        return f"  unpacking {names[0] if len(names) == 1 else f'{len(names)} packages'}"
    return None


def has_cpu_build(answer: str | None, pin: str) -> bool:
    """True when `pip index versions` lists a CPU build (`2.13.0+cpu`) of the pinned version as available."""
    # The answer also names the version that is installed, which says nothing about the index.
    available = re.search(r"^Available versions: (.*)$", answer or "", re.MULTILINE)
    return available is not None and f"{pin}+cpu" in available.group(1).split(", ")


def pinned(name: str, constraints: str) -> str:
    """The version that the constraints give a distribution."""
    match = re.search(rf"^{re.escape(name)}==(\S+)", constraints, re.MULTILINE)
    if not match:
        raise InstallFailed(f"constraints.txt does not pin {name}; `make constraints` renews it")
    return match.group(1)


def torch_options(environment: Environment, chosen: str, pin: str) -> list[str]:
    """The pip options that bring torch without gigabytes of CUDA libraries, wherever that is possible.

    Only on Linux is PyPI's torch the CUDA build. `pip index versions` tells what the configured indexes offer and never
    downloads: a mirror or a folder of wheels with a CPU build in it wins, because pip takes `2.13.0+cpu` for newer than
    `2.13.0`. Else PyTorch's own CPU index is asked. Only torch itself is taken from there.
    """
    if chosen:
        return ["--index-url", chosen]
    if not sys.platform.startswith("linux"):
        return []
    if has_cpu_build(environment.probe("index", "versions", "torch"), pin):
        return []
    if has_cpu_build(environment.probe("index", "versions", "torch", "--index-url", PYTORCH_CPU_INDEX), pin):
        return ["--index-url", PYTORCH_CPU_INDEX]
    say(f"  no CPU build of torch {pin} is at hand and {PYTORCH_CPU_INDEX} does not answer:")
    say("  taking the build of the configured index, which may bring gigabytes of CUDA libraries (see TORCH_INDEX_URL)")
    return []


def install_torch(environment: Environment, index: str) -> None:
    """Installs torch alone, so that everything else comes from the configured index."""
    pin = pinned("torch", CONSTRAINTS.read_text())
    here = environment.installed().get("torch", "")
    if here.split("+")[0] == pin and not index:
        return
    say(f"installing torch {pin}")
    options = torch_options(environment, index, pin)
    environment.pip("install", "--no-compile", "--no-deps", *options, f"torch=={pin}")


def one_onnxruntime(environment: Environment, asked: frozenset[str]) -> frozenset[str]:
    """Chooses the extras that bring ONNX Runtime, and removes the other build: each overwrites the other's files."""
    installed = environment.installed()
    if not asked:
        return frozenset(["server" if "onnxruntime-gpu" in installed else "server-cpu"])
    unwanted = "onnxruntime" if "server" in asked else "onnxruntime-gpu"
    if unwanted in installed:
        say(f"replacing {unwanted}, as {','.join(sorted(asked))} is asked for")
        both = [name for name in ("onnxruntime", "onnxruntime-gpu") if name in installed]
        environment.pip("uninstall", "--yes", *both)
    return asked


def install(environment: Environment, plan: Plan) -> None:
    """Makes the environment hold what the plan asks for, beside what earlier runs put there."""
    record = environment.read_record()
    if environment.python.exists() and plan.is_met_by(record):
        return
    started = time.monotonic()
    environment.create()
    runtime = one_onnxruntime(environment, plan.runtime)
    extras = plan.extras | runtime | (record.extras - RUNTIMES)
    groups = plan.groups | record.groups
    if "export" in extras:
        install_torch(environment, plan.torch_index)
    wanted = f".[{','.join(sorted(extras))}]"
    say(f"installing {wanted}" + "".join(f", {group} tools" for group in sorted(groups)))
    options = [option for group in sorted(groups) for option in ("--group", group)]
    environment.pip("install", "--no-compile", "--constraint", str(CONSTRAINTS), "--editable", wanted, *options)
    environment.write_record(Record(extras, groups))
    say(f"installed in {time.monotonic() - started:.0f} s")


def say(line: str) -> None:
    print(line, flush=True)


def names(text: str) -> frozenset[str]:
    """The names in a list separated by commas."""
    return frozenset(filter(None, text.split(",")))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the virtual environment that the Makefile works in.")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--extras", type=names, default=names(""), help="extras of convserve, separated by commas")
    parser.add_argument("--groups", type=names, default=names(""), help="dependency groups, separated by commas")
    parser.add_argument("--runtime", type=names, default=names(""), help="server-cpu, server or server,cuda")
    parser.add_argument("--torch-index", default="", help="package index to take torch from, instead of a CPU build")
    options = parser.parse_args(arguments)
    plan = Plan(extras=options.extras, groups=options.groups, runtime=options.runtime, torch_index=options.torch_index)
    try:
        install(Environment(options.venv), plan)
    except InstallFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
