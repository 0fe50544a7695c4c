"""What lies in an artifact's folder beside its model: manifest.json and the files of hashes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convserve_proto import checksums
from convserve_server.artifacts import read_artifact
from convserve_server.errors import ModelBroken
from convserve_server.rpc.preprocessing import normalizer

from fuzz.target import IN_MEMORY, Target, Try
from fuzz.wire_fields import join, split

FILES = ("manifest.json", checksums.MANIFEST_SUMS, checksums.PROVENANCE_SUMS, "labels.txt")
"""An input is a message whose field numbers, from 1 on, say which of these its bytes are."""
MODEL = b"a model"


@contextmanager
def _opened() -> Iterator[Try]:
    with TemporaryDirectory(prefix="convserve-fuzz-", dir=IN_MEMORY) as parent:
        folder = Path(parent, "m", "1")
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(MODEL)

        def attempt(data: bytes) -> str:
            written = set()
            for number, _, content in split(data) or ():
                if isinstance(content, bytes) and number <= len(FILES):
                    (folder / FILES[number - 1]).write_bytes(content)
                    written.add(FILES[number - 1])
            try:
                return _read(folder)
            finally:
                for name in written:
                    (folder / name).unlink()

        yield attempt


def _read(folder: Path) -> str:
    try:
        description = read_artifact(folder).description
    except ModelBroken as error:
        str(error).encode()
        return str(error)
    assert description is not None
    if description.preprocessing is not None:
        normalizer(description.preprocessing)
    return f"OK {description.task}"


def _manifest(**fields: Any) -> bytes:
    import hashlib

    model = {"name": "model.onnx", "size": str(len(MODEL)), "sha256": hashlib.sha256(MODEL).hexdigest()}
    tensors = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", "3", "2", "4"]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    }
    return json.dumps(
        {"format": 1, "name": "m", "version": "1", "batched": True, "files": [model], **tensors, **fields}
    ).encode()


def _seeds() -> Iterator[bytes]:
    plain = _manifest()
    yield join([(1, 2, plain)])
    yield join([(1, 2, plain), (2, 2, checksums.sums({"manifest.json": plain}))])
    yield join([(1, 2, plain), (3, 2, checksums.sums({"labels.txt": b"a"})), (4, 2, b"a")])
    preprocessing = {"height": 2, "width": 4, "scale": 255, "mean": [0.5, 0.25, 0], "std": [0.5, 0.25, 2]}
    classifier = _manifest(
        task="TASK_IMAGE_CLASSIFICATION",
        labels=["cat", "dog"],
        preprocessing={"colorOrder": "RGB", "layout": "NCHW", **preprocessing},
    )
    yield join([(1, 2, classifier)])
    variant = {"file": "model.onnx", "precision": "int8", "pixels": True, "hardware": ["cpu"]}
    pixels = [{"name": "p", "datatype": "UINT8", "shape": [-1, 2, 4, 3]}]
    yield join([(1, 2, _manifest(variants=[{**variant, "inputs": pixels}], parameters={"total": "7"}))])


TARGET = Target("manifests", _opened, _seeds)
