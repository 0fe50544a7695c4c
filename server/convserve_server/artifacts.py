"""Reads an artifact from disk and believes nothing that its manifest's hashes do not confirm."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from convserve_proto import checksums, manifest_pb2
from convserve_proto.signing import SignatureFault, verify_signature
from convserve_proto.tensors import NUMPY_TYPES
from google.protobuf import json_format

from convserve_server.engine.loading import Artifact
from convserve_server.engine.model import Description, Preprocessing, TensorSpec
from convserve_server.engine.precision import Variant
from convserve_server.errors import ModelBroken, sendable

log = logging.getLogger(__name__)

FORMAT = 1
MODEL_FILE = "model.onnx"
LARGEST = 1e30
"""Of what a pixel is multiplied with and moved by: far from the end of float32."""
_TASKS = {
    manifest_pb2.TASK_IMAGE_CLASSIFICATION: "image_classification",
    manifest_pb2.TASK_CONVOLUTION: "convolution",
}


def read_artifact(
    folder: Path, file: str = MODEL_FILE, *, allow_unverified: bool = False, public_key: Path | None = None
) -> Artifact:
    """Read NAME/VERSION/ and check every file that its manifest lists, by size and SHA-256.

    A folder without a manifest is taken as it is where ``allow_unverified``: its model is ``file``, which may keep its
    weights in files beside it.

    With a ``public_key`` (PEM) all of it must be signed by the key's owner.

    Raises ModelBroken with a sentence when anything is missing, cannot be read, or is not what the manifest says.
    """
    if public_key is not None:
        _check_signature(folder, public_key)
    if allow_unverified and not (folder / "manifest.json").exists():
        return _read_unverified(folder, file)
    _check_sidecars(folder)
    manifest = _read_manifest(folder / "manifest.json")
    files = {f.name: f for f in manifest.files}
    if MODEL_FILE not in files:
        raise ModelBroken(f"its manifest does not list {MODEL_FILE}; export it again")
    contents: dict[str, bytes] = {}
    for listed in files.values():
        content = _read_file(folder, listed.name)
        _check_file(listed, content)
        if listed.name.endswith(".onnx"):
            # What was hashed is what will be run: the file is not opened a second time.
            contents[listed.name] = content
    variants = tuple(_variant(v, contents) for v in manifest.variants)
    learned = manifest.parameters.total > 0
    return Artifact(_description(manifest), contents[MODEL_FILE], variants, learned)


def _read_unverified(folder: Path, file: str) -> Artifact:
    if not (folder / file).is_file():
        raise ModelBroken(f"it has neither manifest.json nor {file}")
    log.warning("%s is UNVERIFIED: it has no manifest, so nothing says that it is what was exported", folder / file)
    return Artifact(None, folder / file)


def _read_manifest(path: Path) -> manifest_pb2.Manifest:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelBroken(
            "it has no manifest.json; export it with convserve-export, "
            "or start with --allow-unverified to serve it as it is"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelBroken(f"its manifest.json cannot be read: {error}") from error
    try:
        manifest = json_format.Parse(text, manifest_pb2.Manifest())
    except (json_format.ParseError, RecursionError) as error:
        raise ModelBroken(f"its manifest.json is no valid manifest: {sendable(str(error))}") from error
    if manifest.format != FORMAT:
        raise ModelBroken(f"its manifest has format {manifest.format}, and this server reads format {FORMAT}")
    return manifest


def _read_file(folder: Path, name: str) -> bytes:
    if not name or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise ModelBroken(f"its manifest lists the file '{name}', which is not inside of its folder")
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise ModelBroken(f"{name} is missing; export it again") from None
    except OSError as error:
        raise ModelBroken(f"{name} cannot be read: {error.strerror}") from error


def _check_file(file: manifest_pb2.ArtifactFile, content: bytes) -> None:
    if len(content) != file.size:
        raise ModelBroken(f"{file.name} has {len(content)} bytes, but its manifest says {file.size}; export it again")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise ModelBroken(
            f"{file.name} was changed after its export: its SHA-256 is {digest}, its manifest says {file.sha256}"
        )


def _check_signature(folder: Path, public_key: Path) -> None:
    try:
        verify_signature(folder, public_key)
    except SignatureFault as error:
        raise ModelBroken(str(error)) from error
    except OSError as error:
        raise ModelBroken(f"the public key {public_key.name} cannot be read: {error.strerror}") from error


def _check_sidecars(folder: Path) -> None:
    """The manifest and what tells of the export are what they were. Artifacts made by hand have no sidecars."""
    for sidecar in checksums.SIDECARS:
        if not (folder / sidecar).exists():
            if sidecar == checksums.MANIFEST_SUMS:
                log.warning("%s has no %s, so its manifest is taken at its word; export it again", folder, sidecar)
            continue
        content = _read_file(folder, sidecar)
        if faults := checksums.faults(sidecar, content, lambda name: (folder / name).read_bytes()):
            raise ModelBroken("; ".join(faults))


def _variant(variant: manifest_pb2.Variant, contents: Mapping[str, bytes]) -> Variant:
    if variant.file not in contents:
        raise ModelBroken(f"its manifest names the variant {variant.file}, and does not list that file")
    _check_datatypes(variant.inputs)
    return Variant(
        precision=variant.precision,
        model=contents[variant.file],
        inputs=_specs(variant.inputs),
        pixels=variant.pixels,
        hardware=tuple(variant.hardware),
    )


def _specs(tensors: Iterable[manifest_pb2.TensorSignature]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(t.name, t.datatype, tuple(t.shape)) for t in tensors)


def _check_datatypes(tensors: Iterable[manifest_pb2.TensorSignature]) -> None:
    for tensor in tensors:
        if tensor.datatype not in NUMPY_TYPES:
            raise ModelBroken(f"its manifest gives '{tensor.name}' the unknown datatype '{tensor.datatype}'")


def _description(manifest: manifest_pb2.Manifest) -> Description:
    _check_datatypes((*manifest.inputs, *manifest.outputs))
    for tensor in (*manifest.inputs, *manifest.outputs):
        if manifest.batched and not tensor.shape:
            raise ModelBroken(f"its manifest says that it is batched, but '{tensor.name}' is a scalar")
    description = Description(
        name=manifest.name,
        version=manifest.version,
        task=_TASKS.get(manifest.task, ""),
        inputs=_specs(manifest.inputs),
        outputs=_specs(manifest.outputs),
        batched=manifest.batched,
        labels=tuple(manifest.labels),
        preprocessing=_preprocessing(manifest) if manifest.HasField("preprocessing") else None,
    )
    if description.task == "image_classification":
        _check_classifier(description)
    return description


def _preprocessing(manifest: manifest_pb2.Manifest) -> Preprocessing:
    p = manifest.preprocessing
    if (p.color_order, p.layout) != ("RGB", "NCHW"):
        raise ModelBroken(f"its preprocessing is {p.color_order} {p.layout}; this server does RGB NCHW")
    if not (p.height and p.width and p.scale and len(p.mean) == len(p.std) == 3 and all(p.std)):
        raise ModelBroken("its preprocessing needs a size, a scale, and three numbers each for mean and std, none 0")
    gains = [1 / (p.scale * std) for std in p.std]
    offsets = [mean / std for mean, std in zip(p.mean, p.std, strict=True)]
    if not all(abs(number) <= LARGEST for number in (*gains, *offsets)):
        raise ModelBroken("its preprocessing has numbers that are no factors for a pixel: too large, too small, or NaN")
    return Preprocessing(p.height, p.width, p.scale, tuple(p.mean), tuple(p.std))


def _check_classifier(description: Description) -> None:
    p = description.preprocessing
    if p is None:
        raise ModelBroken("it is an image classifier, but its manifest has no preprocessing")
    if [i.shape for i in description.inputs] != [(-1, 3, p.height, p.width)] or not description.batched:
        raise ModelBroken(f"an image classifier takes one input [-1, 3, {p.height}, {p.width}], in batches")
    if len(description.outputs) != 1 or len(description.outputs[0].shape) != 2:
        raise ModelBroken("an image classifier has one output [-1, number of classes]")
    classes = description.outputs[0].shape[1]
    if description.labels and len(description.labels) != classes:
        raise ModelBroken(f"its manifest has {len(description.labels)} labels for {classes} classes")
