"""references.npz: inputs and the answers that are right, so that an artifact can be checked without torch."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from convserve_export.cases import Array, Tensors
from convserve_export.errors import BadInput

FILE = "references.npz"


@dataclass(frozen=True)
class ReferenceCase:
    """Inputs with the right answers."""

    pixels: bool
    """True where it is for those variants that take pixels."""
    kind: str
    inputs: Tensors
    outputs: Tensors


def write_references(cases: Iterable[ReferenceCase]) -> bytes:
    """The file's content; the same for the same cases."""
    arrays: dict[str, Array] = {}
    for i, case in enumerate(cases):
        for part, tensors in (("input", case.inputs), ("output", case.outputs)):
            for name, array in tensors.items():
                arrays[f"{i}|{'pixels' if case.pixels else 'values'}|{case.kind}|{part}|{name}"] = array
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_references(content: bytes) -> list[ReferenceCase]:
    """What :func:`write_references` wrote. Raises BadInput where the file is damaged."""
    cases: dict[str, ReferenceCase] = {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            for key in archive.files:
                index, form, kind, part, name = key.split("|", 4)
                case = cases.setdefault(index, ReferenceCase(form == "pixels", kind, {}, {}))
                side = case.inputs if part == "input" else case.outputs
                side[name] = archive[key]  # type: ignore[index]  # filled here, and only here
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise BadInput(f"{FILE} is damaged: {error}") from error
    return list(cases.values())
