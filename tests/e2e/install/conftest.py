"""A fresh virtual environment with the base dependencies, and the distributions built from this tree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Environment:
    """A virtual environment that knows nothing of the one that the tests run in."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def run(self, *command: str) -> str:
        """Output of a command of this environment, run where no source of ours can be imported by accident."""
        return run([str(self.bin / command[0]), *command[1:]], cwd=self.folder)

    def pip(self, *arguments: str) -> str:
        return self.run("python", "-m", "pip", "--disable-pip-version-check", *arguments)

    def distributions(self) -> set[str]:
        return {line.partition("==")[0].lower() for line in self.pip("freeze", "--exclude-editable").splitlines()}


def run(command: Sequence[str], *, cwd: Path) -> str:
    """What a command prints. Fails the test with all that it said when it fails."""
    ours = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=ours, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}", pytrace=False)
    return done.stdout


def make_environment(folder: Path) -> Environment:
    run([sys.executable, "-m", "venv", str(folder)], cwd=folder.parent)
    return Environment(folder)


@pytest.fixture(scope="package")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Reused by all: each test installs convserve in its own way over the one before."""
    return make_environment(tmp_path_factory.mktemp("install") / "venv")


@pytest.fixture(scope="package")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with our wheel and our sdist, built by the declared backend."""
    folder = tmp_path_factory.mktemp("build")
    builder = make_environment(folder / "venv")
    builder.pip("install", "--quiet", "--no-compile", "hatchling>=1.27")
    run(
        [str(builder.bin / "python"), "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)],
        cwd=ROOT,
    )
    return folder


@pytest.fixture(scope="package")
def wheel(distributions: Path) -> Path:
    [path] = distributions.glob("*.whl")
    return path


@pytest.fixture(scope="package")
def sdist(distributions: Path) -> Path:
    [path] = distributions.glob("*.tar.gz")
    return path
