"""Arrays in files: .npy without pickled objects, and matrices as text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convserve_client.commands import BadUsage


def read_npy(path: Path) -> NDArray[Any]:
    """The array in a .npy file. Raises BadUsage for what is none; pickled objects are never loaded."""
    try:
        with path.open("rb") as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise BadUsage(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged header makes numpy raise almost anything, TokenError included
        raise BadUsage(f"{path} is not a .npy file that can be loaded: {error}") from error
    return array


def npy_bytes(array: NDArray[Any]) -> bytes:
    """The contents of a .npy file. BYTES tensors become fixed-width byte strings: objects would need pickling."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array.astype("S") if array.dtype.kind == "O" else array, allow_pickle=False)
    return buffer.getvalue()


def read_matrix_file(path: Path) -> NDArray[Any]:
    """A matrix from a .npy file or from text. Raises BadUsage for what is none."""
    if path.suffix == ".npy":
        return read_npy(path)
    try:
        return matrix_of_text(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise BadUsage(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadUsage(f"{path} is neither a .npy file by its name nor text") from error


def matrix_of_text(text: str, where: str) -> NDArray[np.float64]:
    """A matrix written as [[1, 2], [3, 4]], or as a line a row with blanks or commas between the numbers.

    Raises BadUsage, which names ``where``, for anything else.
    """
    try:
        if text.lstrip().startswith("["):
            rows = json.loads(text)
        else:
            rows = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
        matrix = np.array(rows, np.float64)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadUsage(f"{where} is not a matrix: {error}") from error
    if matrix.ndim != 2 or matrix.size == 0:
        raise BadUsage(f"{where} is not a matrix: rows of numbers are needed, such as [[1, 0], [0, -1]]")
    return matrix
