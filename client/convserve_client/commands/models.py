"""convserve models: what is served."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from convserve_client.commands import OK
from convserve_client.commands.connection import open_client
from convserve_client.commands.output import plain, print_json, table
from convserve_client.results import ModelInfo, TensorInfo


def run(args: argparse.Namespace) -> int:
    """List the models."""
    with open_client(args) as client:
        models = client.models()
    if args.json:
        print_json({"server": args.server, "models": [_document(model) for model in models]})
    elif not models:
        print(f"{args.server} serves no model")
    else:
        rows = [("MODEL", "VERSIONS", "PROVIDER", "INPUTS", "OUTPUTS"), *(_row(model) for model in models)]
        print(table([[plain(cell) for cell in row] for row in rows]))
    return OK


def _row(model: ModelInfo) -> tuple[str, ...]:
    if not model.ready:
        return (model.name, "not ready", "", "", "")
    return (
        model.name,
        ", ".join(model.versions),
        model.provider,
        ", ".join(_signature(tensor) for tensor in model.inputs),
        ", ".join(_signature(tensor) for tensor in model.outputs),
    )


def _signature(tensor: TensorInfo) -> str:
    return f"{tensor.name} {tensor.datatype} {list(tensor.shape)}"


def _document(model: ModelInfo) -> dict[str, object]:
    return {
        "name": model.name,
        "ready": model.ready,
        "versions": list(model.versions),
        "platform": model.platform,
        "inputs": _tensors(model.inputs),
        "outputs": _tensors(model.outputs),
        "properties": dict(model.properties),
    }


def _tensors(tensors: Sequence[TensorInfo]) -> list[dict[str, object]]:
    return [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in tensors]
