"""``convserve-export verify DIR``: everything about a published artifact that can be checked again without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from convserve_proto import checksums, manifest_pb2
from google.protobuf import json_format

from convserve_export.check import Check, first_line
from convserve_export.comparison import Tolerance, compare, disagreeing_rows
from convserve_export.errors import BadInput
from convserve_export.graph_checks import check_described, check_graph, count_onnx
from convserve_export.reference_file import FILE as REFERENCES
from convserve_export.reference_file import ReferenceCase, read_references
from convserve_export.speed import session

MANIFEST = "manifest.json"
TYPICAL = frozenset({"pictures", "zeros", "black"})
"""Kinds of inputs that a variant in another precision was calibrated for."""
KNOWN_APART = frozenset({MANIFEST, *checksums.SIDECARS, "provenance.json", "report.html", "model.sig"})
COARSE = Tolerance(atol=0.5, rtol=0.25)
"""For int8 only a sign of life, as its gates have judged it: where the best class is clear by this, it is the same."""


def artifacts_in(folder: Path) -> list[Path]:
    """The artifact in ``folder``, or all below it that are laid out as MODEL/VERSION. Raises BadInput without any."""
    if (folder / MANIFEST).exists():
        return [folder]
    found = sorted(p.parent for pattern in (f"*/{MANIFEST}", f"*/*/{MANIFEST}") for p in folder.glob(pattern))
    if not found:
        raise BadInput(
            f"{folder} holds no artifact: there is no {MANIFEST} in it, in DIR/VERSION or in DIR/MODEL/VERSION"
        )
    return found


def recheck(folder: Path) -> Iterator[Check]:
    """Every check in turn, cheap ones first. Stops where what follows could only fail for the same reason."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        manifest = json_format.Parse(text, manifest_pb2.Manifest())
    except (OSError, UnicodeDecodeError, json_format.ParseError, RecursionError) as error:
        yield Check(MANIFEST, False, " ".join(str(error).split()))
        return
    yield Check(MANIFEST, True, f"{manifest.name} version {manifest.version}, format {manifest.format}")
    hashes = list(_hashes(folder, manifest))
    yield from hashes
    if not all(h.passed for h in hashes):
        return
    graphs = {"model.onnx": manifest.inputs} | {v.file: v.inputs for v in manifest.variants}
    for name, inputs in graphs.items():
        yield from _graph(folder / name, [*inputs, *manifest.outputs])
    yield _parameters(folder / "model.onnx", manifest)
    yield from _parity(folder, manifest)


def _hashes(folder: Path, manifest: manifest_pb2.Manifest) -> Iterator[Check]:
    faults = []
    for listed in manifest.files:
        path = folder / listed.name
        if Path(listed.name).name != listed.name or not path.is_file():
            faults.append(f"{listed.name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != listed.sha256:
            faults.append(f"{listed.name} was changed after the export: its SHA-256 is not the one in {MANIFEST}")
    count = f"{len(manifest.files)} files, as in {MANIFEST}"
    yield Check("hashes", not faults, "; ".join(faults) or count)
    for sidecar in checksums.SIDECARS:
        try:
            content = (folder / sidecar).read_bytes()
        except OSError:
            yield Check(sidecar, False, f"{sidecar} is missing")
            continue
        wrong = checksums.faults(sidecar, content, lambda name: (folder / name).read_bytes())
        names = ", ".join(line.partition("  ")[2] for line in content.decode("utf-8", "replace").splitlines())
        yield Check(sidecar, not wrong, "; ".join(wrong) or names)
    known = {f.name for f in manifest.files} | KNOWN_APART
    strangers = sorted(p.name for p in folder.iterdir() if p.name not in known)
    detail = f"nobody exported {', '.join(strangers)}" if strangers else "no other file"
    yield Check("nothing added", not strangers, detail)


def _graph(path: Path, signature: Iterable[manifest_pb2.TensorSignature]) -> Iterator[Check]:
    described = [(t.name, t.datatype, list(t.shape)) for t in signature]
    for check in (check_graph(path), check_described(path, described)):
        yield replace(check, name=f"{path.name} {check.name}")


def _parameters(path: Path, manifest: manifest_pb2.Manifest) -> Check:
    claimed = manifest.parameters.total
    counted = count_onnx(onnx.load(path), manifest.parameters.names) + manifest.parameters.folded
    sums = sum(layer.count for layer in manifest.parameters.layers)
    if counted == claimed == sums:
        return Check("parameters", True, f"{claimed:,} by manifest, by layer, by graph")
    return Check("parameters", False, f"{claimed:,} by manifest, {sums:,} by layer, {counted:,} by graph")


@dataclass(frozen=True)
class _Form:
    file: str
    pixels: bool
    tolerance: Tolerance
    exact: bool = True
    """False for another precision."""
    coarse: bool = False
    """True for int8: only what is clear is compared."""


def _forms(manifest: manifest_pb2.Manifest) -> list[_Form]:
    exact = Tolerance(atol=manifest.verification.atol, rtol=manifest.verification.rtol)
    forms = [_Form("model.onnx", False, exact)]
    for v in manifest.variants:
        tolerance = {"fp32": exact, "fp16": Tolerance(atol=1e-2, rtol=1e-2)}.get(v.precision, COARSE)
        forms.append(_Form(v.file, v.pixels, tolerance, exact=v.precision == "fp32", coarse=v.precision == "int8"))
    return forms


def _parity(folder: Path, manifest: manifest_pb2.Manifest) -> Iterator[Check]:
    if REFERENCES not in {f.name for f in manifest.files}:
        yield Check("parity", False, f"there is no {REFERENCES}: it was exported before there were any")
        return
    cases = read_references((folder / REFERENCES).read_bytes())
    for form in _forms(manifest):
        fitting = [c for c in cases if c.pixels == form.pixels and (form.exact or c.kind in TYPICAL)]
        try:
            yield _compare(form, fitting, session((folder / form.file).read_bytes()), batched=manifest.batched)
        except Exception as error:  # whatever ONNX Runtime raises, the file does not run
            yield Check(f"{form.file} parity", False, first_line(error))


def _compare(form: _Form, cases: list[ReferenceCase], loaded: onnxruntime.InferenceSession, *, batched: bool) -> Check:
    name = f"{form.file} parity"
    names = [o.name for o in loaded.get_outputs()]
    worst, used, bad = 0.0, 0.0, 0
    for case in cases:
        outputs = dict(zip(names, loaded.run(None, dict(case.inputs)), strict=True))
        for output, expected in case.outputs.items():
            if outputs[output].shape != expected.shape:
                return Check(name, False, f"{output} is {outputs[output].shape} on {case.kind}, not {expected.shape}")
            difference = compare(expected, outputs[output], form.tolerance, batched=batched)
            worst, used = max(worst, difference.absolute), max(used, difference.used)
            bad += not np.isfinite(outputs[output]).all()
            if form.coarse:
                bad += len(disagreeing_rows(expected, outputs[output], form.tolerance))
            else:
                bad += not difference.within
    share = "" if form.coarse else f", {used:.2%} of the tolerance"
    return Check(name, not bad, f"largest difference {worst:.3g}{share}, {len(cases)} reference inputs")
