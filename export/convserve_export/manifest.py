"""manifest.json, what an artifact says of itself: written for a verified candidate, read back to see what is there."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
from convserve_proto import checksums, manifest_pb2
from google.protobuf import json_format

from convserve_export.candidate import Candidate
from convserve_export.cases import TensorSpec
from convserve_export.comparison import Tolerance
from convserve_export.file_checks import held_parameters
from convserve_export.parameters import layers
from convserve_export.variants import Variant

FILE = "manifest.json"
FORMAT = 1
MODEL = "model.onnx"
TOOLS = ("convserve", "torch", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy")


def describe(
    candidate: Candidate,
    *,
    files: Mapping[str, bytes],
    tolerance: Tolerance,
    checks: Iterable[str],
    variants: Iterable[Variant] = (),
) -> manifest_pb2.Manifest:
    """The manifest of a verified candidate, all but its version: the same whenever the same thing is exported."""
    manifest = manifest_pb2.Manifest(
        format=FORMAT,
        name=candidate.name,
        task=candidate.task,
        inputs=[_signature(s) for s in candidate.inputs],
        outputs=[_signature(s) for s in candidate.outputs],
        batched=candidate.batched,
        preprocessing=candidate.preprocessing,
        labels=candidate.labels,
        parameters=_parameters(candidate, onnx.load_from_string(files[MODEL])),
        files=[
            manifest_pb2.ArtifactFile(name=name, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
            for name, data in sorted(files.items())
        ],
        verification=manifest_pb2.Verification(atol=tolerance.atol, rtol=tolerance.rtol, checks=checks),
        fingerprint=candidate.fingerprint,
        variants=[_variant(v) for v in variants],
    )
    manifest.tools.update(tool_versions())
    return manifest


def tool_versions() -> dict[str, str]:
    """Versions of those tools that are installed, and of Python."""
    versions = {"python": platform.python_version()}
    for tool in TOOLS:
        try:
            versions[tool] = importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def to_bytes(manifest: manifest_pb2.Manifest, version: int) -> bytes:
    """The file's content for this version."""
    complete = manifest_pb2.Manifest()
    complete.CopyFrom(manifest)
    complete.version = version
    return (json.dumps(to_object(complete), indent=2, ensure_ascii=False) + "\n").encode()


def to_object(manifest: manifest_pb2.Manifest) -> dict[str, Any]:
    """Protobuf's JSON form with the field names of manifest.proto; what is zero or false is said, too."""
    about = json_format.MessageToDict(
        manifest, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    # Protobuf's maps have another order in every process.
    about["tools"] = dict(sorted(about["tools"].items()))
    for variant in about["variants"]:
        variant["gates"] = dict(sorted(variant["gates"].items()))
    return about


def read_intact(folder: Path) -> manifest_pb2.Manifest | None:
    """The manifest in ``folder`` where its files are all there and unchanged, else None."""
    try:
        manifest = json_format.Parse((folder / FILE).read_bytes(), manifest_pb2.Manifest(), ignore_unknown_fields=True)
        intact = manifest.format == FORMAT and all(
            Path(f.name).name == f.name and hashlib.sha256((folder / f.name).read_bytes()).hexdigest() == f.sha256
            for f in manifest.files
        )
        for sidecar in checksums.SIDECARS:
            sums = (folder / sidecar).read_bytes()
            intact = intact and not checksums.faults(sidecar, sums, lambda name: (folder / name).read_bytes())
    except (OSError, ValueError, json_format.ParseError):
        return None
    return manifest if intact else None


def _signature(spec: TensorSpec) -> manifest_pb2.TensorSignature:
    return manifest_pb2.TensorSignature(name=spec.name, datatype=spec.datatype, shape=spec.shape)


def _variant(variant: Variant) -> manifest_pb2.Variant:
    return manifest_pb2.Variant(
        precision=variant.precision,
        file=variant.file,
        inputs=[_signature(s) for s in variant.inputs],
        pixels=variant.pixels,
        hardware=variant.hardware,
        gates=variant.gates,
    )


def _parameters(candidate: Candidate, graph: onnx.ModelProto) -> manifest_pb2.ParameterCounts:
    found = layers(candidate.module)
    held = held_parameters(candidate.module, graph)
    return manifest_pb2.ParameterCounts(
        total=sum(layer.count for layer in found),
        trainable=sum(layer.trainable for layer in found),
        layers=[manifest_pb2.LayerParameters(name=la.name, kind=la.kind, count=la.count) for la in found],
        names=held.names,
        folded=held.folded,
    )
