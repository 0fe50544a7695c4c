"""convserve classify: what do pictures show?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from convserve_client.commands import FAILED, OK, BadUsage
from convserve_client.commands.connection import open_client
from convserve_client.commands.output import Progress, bar, plain, print_json
from convserve_client.images import SUFFIXES
from convserve_client.results import ClassifyResult

_BAR = 30


def run(args: argparse.Namespace) -> int:
    """Classify the pictures; exit code 1 where some of them failed."""
    paths = [path for argument in args.paths for path in _pictures(argument)]
    with open_client(args) as client:
        results = client.classify(
            paths, top_k=args.top_k, model=args.model, progress=Progress(len(paths), "images classified")
        )
    if args.json:
        print_json(_document(results))
    else:
        _print(results)
    return FAILED if any(result.error for result in results) else OK


def _pictures(path: Path) -> Iterator[Path]:
    """The file itself, or the pictures in a folder and its folders, hidden ones left out, in order."""
    if path.is_dir():
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
            and file.is_file()
        )
        if not found:
            raise BadUsage(f"there are no pictures in {path}: no file ends in {', '.join(SUFFIXES)}")
        yield from found
    elif path.exists():
        yield path
    else:
        raise BadUsage(f"there is no file or directory {path}")


def _print(results: Sequence[ClassifyResult]) -> None:
    entries = [entry for result in results for entry in result.classifications]
    width = max((len(plain(entry.label)) for entry in entries), default=0)
    for result in results:
        if result.error is not None:
            # Standard output has the classes alone, so that it can be passed on.
            print(f"{plain(result.name)}: {plain(result.error.message)} ({result.error.code})", file=sys.stderr)
            continue
        print(plain(result.name))
        for entry in result.classifications:
            drawn = bar(entry.probability, _BAR, sys.stdout.encoding)
            print(f"  {plain(entry.label):<{width}}  {entry.probability:6.1%}  {drawn}".rstrip())
    failed = sum(result.error is not None for result in results)
    if len(results) > 1:
        answered = next((result for result in results if result.error is None), None)
        by = f" by {answered.model_name} version {answered.model_version}" if answered else ""
        print(f"{len(results) - failed:,} of {len(results):,} images classified{by}, {failed:,} failed")


def _document(results: Sequence[ClassifyResult]) -> dict[str, object]:
    return {"images": [_image(result) for result in results]}


def _image(result: ClassifyResult) -> dict[str, object]:
    if result.error is not None:
        return {"name": result.name, "error": {"code": result.error.code, "message": result.error.message}}
    return {
        "name": result.name,
        "model": result.model_name,
        "version": result.model_version,
        "classifications": [
            {"label": entry.label, "index": entry.index, "probability": entry.probability}
            for entry in result.classifications
        ],
        "queue_seconds": result.queue_seconds,
        "inference_seconds": result.inference_seconds,
    }
