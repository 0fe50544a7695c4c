"""Real pictures for the demo, read out of two wheels on PyPI: nothing of them is installed, nothing is ours to give.

foolbox (MIT) carries 20 test pictures of CIFAR-10, scikit-image photographs that are free of copyright restrictions.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

WHEELS = ("foolbox", "scikit-image")
CIFAR10 = re.compile(r"foolbox/data/cifar10_(\d+)_(\d)\.png")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PHOTOGRAPHS = {"skimage/data/chelsea.png": "cat", "skimage/data/coffee.png": ""}


class NoPictures(Exception):
    """They could not be fetched; the message says why."""


@dataclass(frozen=True)
class Picture:
    """A picture file and what it shows: a class of CIFAR-10, or nothing where it shows something else."""

    path: Path
    shows: str


def fetch(folder: Path, constraints: Path) -> None:
    """Downloads the wheels (some 15 MB) into a folder, unless they are there."""
    if folder.is_dir() and len(list(folder.glob("*.whl"))) == len(WHEELS):
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--constraint", str(constraints), "--dest", str(folder), *WHEELS]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise NoPictures(f"the demo's pictures lie in wheels on PyPI, and pip could not fetch them:\n{done.stdout}")


def unpack(wheels: Path, folder: Path) -> tuple[list[Picture], list[Picture]]:
    """The CIFAR-10 pictures, in order, and the photographs, as files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    small: list[Picture] = []
    photographs: list[Picture] = []
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                if match := CIFAR10.fullmatch(name):
                    found, shows = small, CIFAR10_CLASSES[int(match.group(2))]
                elif name in PHOTOGRAPHS:
                    found, shows = photographs, PHOTOGRAPHS[name]
                else:
                    continue
                path = folder / Path(name).name
                path.write_bytes(archive.read(name))
                found.append(Picture(path, shows))
    return small, photographs
