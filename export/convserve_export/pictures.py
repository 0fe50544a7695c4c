"""Reading pictures from folders and .npz files: labelled ones for training, any for verification."""

from __future__ import annotations

import importlib.resources
import io
import itertools
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from convserve_export.errors import BadInput
from convserve_export.preprocessing import HEIGHT, WIDTH

Size = tuple[int, int]
"""Height and width."""
SIZE: Size = (HEIGHT, WIDTH)
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"})


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures in memory: ``images`` uint8 ``[N, 3, height, width]``, ``labels`` int64 ``[N]``."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]


def load_labelled(path: Path, size: Size = SIZE) -> Pictures:
    """Read labelled pictures from ``path``.

    ``path`` is a folder with one subfolder a class (in alphabetical order of their names), or an ``.npz`` file
    with the keys ``bytes`` (encoded pictures end to end), ``offsets`` (N+1), ``labels`` and ``classes``.

    Raises BadInput when there is nothing to read, or when a picture cannot be read.
    """
    if path.is_dir():
        classes = tuple(sorted(p.name for p in path.iterdir() if p.is_dir()))
        found = [(f, i) for i, c in enumerate(classes) for f in _picture_files(path / c)]
        labels = np.array([i for _, i in found], np.int64)
        encoded = _from_files(f for f, _ in found)
    else:
        archive = _open_archive(path, ("bytes", "offsets", "labels", "classes"))
        classes = tuple(str(c) for c in archive["classes"])
        labels = archive["labels"].astype(np.int64)
        encoded = _from_archive(path, archive)
        if len(labels) != len(archive["offsets"]) - 1:
            raise BadInput(
                f"{path} holds {len(archive['offsets']) - 1} pictures and {len(labels)} labels; both must agree"
            )
    if not len(labels):
        raise BadInput(f"{path} holds no labelled pictures; give a folder with one subfolder a class")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise BadInput(f"{path} has labels from {labels.min()} to {labels.max()}, but names {len(classes)} classes")
    return Pictures(_stack(encoded, len(labels), size), torch.from_numpy(labels), classes)


def load_pictures(path: Path, limit: int, size: Size = SIZE) -> Tensor:
    """The first ``limit`` pictures under a folder (in order of their paths) or of an ``.npz`` file.

    Returns uint8 ``[N, 3, height, width]``, N from 1 to ``limit``. Raises BadInput when there is none, or
    one cannot be read.
    """
    if path.is_dir():
        files = list(itertools.islice(_picture_files(path, deep=True), limit))
        count, encoded = len(files), _from_files(files)
    else:
        archive = _open_archive(path, ("bytes", "offsets"))
        count, encoded = min(limit, len(archive["offsets"]) - 1), _from_archive(path, archive)
    if count < 1:
        raise BadInput(f"{path} holds no pictures; expected files ending in {', '.join(sorted(SUFFIXES))}")
    return _stack(encoded, count, size)


def shipped_pictures(size: Size = SIZE) -> Tensor:
    """The few photographs that come with the package, uint8 ``[N, 3, height, width]``."""
    folder = importlib.resources.files("convserve_export") / "pictures"
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".png")), key=lambda f: f.name)
    return _stack(((f.name, f.read_bytes()) for f in files), len(files), size)


def _picture_files(folder: Path, *, deep: bool = False) -> Iterator[Path]:
    every = folder.rglob("*") if deep else folder.iterdir()
    return (f for f in sorted(every) if f.is_file() and f.suffix.lower() in SUFFIXES)


def _from_files(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        try:
            yield str(file), file.read_bytes()
        except OSError as error:
            raise BadInput(f"the picture {file} cannot be read: {error.strerror}") from error


def _from_archive(path: Path, archive: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    raw = archive["bytes"].tobytes()
    return ((f"{path}[{i}]", raw[a:b]) for i, (a, b) in enumerate(itertools.pairwise(archive["offsets"])))


def _open_archive(path: Path, keys: Iterable[str]) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            # Numbers may be of any width in the file, or no numbers at all.
            return {k: archive[k].astype(np.int64) if k in ("offsets", "labels") else archive[k] for k in keys}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        wanted = ", ".join(keys)
        raise BadInput(f"{path} is neither a folder of pictures nor an .npz file with {wanted}: {error}") from error


def _stack(encoded: Iterator[tuple[str, bytes]], count: int, size: Size) -> Tensor:
    images = np.empty((count, *size, 3), np.uint8)
    for i, (name, data) in enumerate(itertools.islice(encoded, count)):
        try:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
        except Exception as error:  # a decoder of Pillow may raise anything on damaged bytes
            raise BadInput(f"{name} cannot be read as a picture: {error}") from error
        images[i] = np.asarray(picture if picture.size == size[::-1] else picture.resize(size[::-1]))
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
