"""convserve infer: run a model on arrays from .npy files."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TypeVar

import numpy as np

from convserve_client.clients import Client
from convserve_client.commands import OK, BadUsage
from convserve_client.commands.arrays import npy_bytes, read_npy
from convserve_client.commands.connection import open_client
from convserve_client.commands.output import check_writable, print_json, write_file
from convserve_client.results import InferResult

T = TypeVar("T")


def run(args: argparse.Namespace) -> int:
    """Run the model once, and write or show its outputs."""
    given = [_name_and_path(argument) for argument in args.inputs]
    inputs = [(name, read_npy(path)) for name, path in given]
    files = [_name_and_path(argument) for argument in args.files]
    for _, path in files:
        check_writable(path)
    with open_client(args) as client:
        if any(name is None for name, _ in [*given, *files]):
            known_inputs, known_outputs = _signature(client, args.model, args.version)
        else:
            known_inputs, known_outputs = [], []
        named = _all_named("--input", inputs, known_inputs)
        targets = _all_named("-o", files, args.outputs or known_outputs)
        wanted = args.outputs or list(targets) or None
        if unasked := set(targets) - set(wanted or targets):
            raise BadUsage(f"-o names output '{min(unasked)}', but --output asks only for {', '.join(wanted or [])}")
        result = client.infer(args.model, named, outputs=wanted, version=args.version)
    for name, path in targets.items():
        if name not in result.outputs:
            raise BadUsage(f"there is no output '{name}'; the reply has {', '.join(result.outputs)}")
        write_file(path, npy_bytes(result.outputs[name]))
    _show(result, targets, as_json=args.json)
    return OK


def _name_and_path(argument: str) -> tuple[str | None, Path]:
    """NAME=FILE in its parts; a file whose own name has '=' in it can be given as ./FILE."""
    name, equals, path = argument.partition("=")
    if equals and name and "/" not in name:
        return name, Path(path)
    return None, Path(argument)


def _signature(client: Client, model: str, version: str) -> tuple[list[str], list[str]]:
    metadata = client.model_metadata(model, version=version)
    return [tensor.name for tensor in metadata.inputs], [tensor.name for tensor in metadata.outputs]


def _all_named(option: str, pairs: list[tuple[str | None, T]], known: list[str]) -> dict[str, T]:
    """The pairs by name. A name may be left out where there is one pair and one tensor that it can mean."""
    named: dict[str, T] = {}
    for name, value in pairs:
        if name is None:
            if len(pairs) > 1 or len(known) != 1:
                raise BadUsage(f"{option} needs NAME=FILE here, for the model has {', '.join(known)}")
            name = known[0]
        if name in named:
            raise BadUsage(f"{option} names '{name}' twice")
        named[name] = value
    return named


def _show(result: InferResult, targets: dict[str, Path], *, as_json: bool) -> None:
    if as_json:
        outputs = [
            {
                "name": name,
                "type": str(array.dtype),
                "shape": list(array.shape),
                **({"file": str(targets[name])} if name in targets else {"values": array.tolist()}),
            }
            for name, array in result.outputs.items()
        ]
        print_json({"model": result.model_name, "version": result.model_version, "outputs": outputs})
        return
    print(f"{result.model_name} version {result.model_version}")
    for name, array in result.outputs.items():
        print(f"  {name}: {array.dtype} {list(array.shape)}" + (f" -> {targets[name]}" if name in targets else ""))
        if name not in targets:
            print(textwrap.indent(np.array2string(array, threshold=64, precision=5, max_line_width=100), "    "))
