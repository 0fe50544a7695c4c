"""convserve convolve: what does a kernel make of an image?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convserve_client.commands import OK, BadUsage
from convserve_client.commands.arrays import matrix_of_text, npy_bytes, read_matrix_file
from convserve_client.commands.connection import open_client
from convserve_client.commands.output import check_writable, print_json, write_file
from convserve_client.results import ConvolveResult

_SHOWN = 16
"""Matrices with more rows or columns are described, not printed."""


def run(args: argparse.Namespace) -> int:
    """Convolve, write what was asked for, and show the rest."""
    output: Path | None = args.output
    if output is not None:
        if output.suffix.lower() not in (".png", ".npy"):
            raise BadUsage(f"{output} ends neither in .png, for a picture, nor in .npy, for the numbers")
        check_writable(output)
    png = output is not None and output.suffix.lower() == ".png"
    matrix = None if args.matrix is None else _matrix(args.matrix)
    kernel = _kernel(args)
    with open_client(args) as client:
        result = client.convolve(
            _image(args.image) if matrix is None else matrix,
            kernel,
            operation=args.operation,
            padding=args.padding,
            stride=args.stride,
            color=args.color,
            gradient=args.gradient,
            png=png,
            # A picture to look at is a small part of the numbers that it is made from.
            values=matrix is not None or not png,
        )
    if output is not None:
        write_file(output, result.png if png else npy_bytes(result.responses))
    if args.json:
        # Where a file has the numbers, or a picture of them, a document for a photograph would only be long.
        print_json(_document(result, output, with_values=matrix is not None or output is None))
    else:
        _print(args, matrix, result)
    return OK


def _image(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadUsage(f"{path} cannot be read: {error.strerror}") from error


def _matrix(argument: str) -> NDArray[Any]:
    if argument == "demo":
        return np.arange(1, 26, dtype=np.float32).reshape(5, 5)
    return read_matrix_file(Path(argument)).astype(np.float64)


def _kernel(args: argparse.Namespace) -> str | NDArray[Any]:
    if args.kernel_file is not None:
        return read_matrix_file(args.kernel_file)
    if args.kernel.lstrip().startswith("["):
        return matrix_of_text(args.kernel, "--kernel")
    return str(args.kernel)


def _print(args: argparse.Namespace, matrix: NDArray[Any] | None, result: ConvolveResult) -> None:
    if matrix is not None:
        _print_matrix("image", matrix)
    _print_matrix("kernel", result.kernel)
    planes = ["red", "green", "blue"] if len(result.responses) == 3 else [""]
    kinds = (
        ("response", result.responses),
        ("gradient magnitude", result.gradient_magnitudes),
        ("gradient direction, radians", result.gradient_directions),
    )
    for kind, values in kinds:
        for plane, name in zip(values, planes, strict=False):
            _print_matrix(f"{kind}, {name}" if name else kind, plane)
    print(
        f"{args.operation}, padding {args.padding}, stride {args.stride}: {result.rows} x {result.columns} positions "
        f"in {result.inference_seconds * 1000:.1f} ms"
    )
    if args.output is not None:
        print(f"written to {args.output}")


def _print_matrix(name: str, matrix: NDArray[Any]) -> None:
    rows, columns = matrix.shape
    if max(rows, columns) > _SHOWN:
        print(f"{name} ({rows} x {columns}): from {matrix.min():g} to {matrix.max():g}, mean {matrix.mean():g}")
        return
    print(f"{name} ({rows} x {columns})")
    sign = "+" if matrix.min() < 0 or name.startswith("response") else ""
    cells = [[f"{value:{sign if value else ''}g}" for value in row] for row in matrix.tolist()]
    width = max(len(cell) for row in cells for cell in row)
    for row in cells:
        print("  " + "  ".join(cell.rjust(width) for cell in row))


def _document(result: ConvolveResult, output: Path | None, *, with_values: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "model": result.model_name,
        "version": result.model_version,
        "rows": result.rows,
        "columns": result.columns,
        "kernel": result.kernel.tolist(),
        "queue_seconds": result.queue_seconds,
        "inference_seconds": result.inference_seconds,
    }
    if output is not None:
        document["file"] = str(output)
    if with_values:
        document["responses"] = result.responses.tolist()
        document["gradient_magnitudes"] = result.gradient_magnitudes.tolist()
        document["gradient_directions"] = result.gradient_directions.tolist()
    return document
