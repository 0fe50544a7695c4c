"""From candidates to published artifacts: export, verify, and only when all of them hold, publish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from convserve_proto import checksums, manifest_pb2

from convserve_export import html_report, manifest, provenance, references
from convserve_export.baseline import Baseline
from convserve_export.candidate import Candidate
from convserve_export.check import Check
from convserve_export.comparison import Tolerance
from convserve_export.errors import VerificationFailed
from convserve_export.evaluation import Material
from convserve_export.file_checks import EXPECTED_PARAMETERS
from convserve_export.html_plots import plotted, samples
from convserve_export.onnx_graph import to_onnx
from convserve_export.program import to_program, to_pt2
from convserve_export.reference_file import FILE as REFERENCES
from convserve_export.repository import Repository, Staging
from convserve_export.torchscript import to_torchscript
from convserve_export.variants import PRECISIONS, Variants
from convserve_export.verification import verify

TORCHSCRIPT = "model.pt"
PT2 = "model.pt2"
ONNX = "model.onnx"
LABELS = "labels.txt"
CALLERS = (EXPECTED_PARAMETERS, "baseline: ")
"""Checks of what a caller expects; the manifest is the same without them."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A candidate to publish, and how."""

    candidate: Candidate
    version: int | None = None
    """None is the next free one."""
    expect_parameters: int | None = None
    material: Material | None = None
    """Pictures to judge faster variants by; without them there are none."""
    precisions: tuple[str, ...] = PRECISIONS
    baseline: Baseline | None = None
    """Refuse to publish what is worse than this."""
    same_answers: bool = False
    skip_if_present: bool = False
    """Publish nothing where the version, or without one the newest, is this very candidate, intact."""


@dataclass(frozen=True)
class Outcome:
    """Where the artifact of a candidate is."""

    manifest: manifest_pb2.Manifest
    path: Path
    published: bool
    """False where it was there already."""

    @property
    def about(self) -> dict[str, Any]:
        """The manifest as in the file."""
        return manifest.to_object(self.manifest)


class Listener(Protocol):
    """Who wants to know how it goes."""

    def step(self, candidate: Candidate, doing: str) -> None:
        """Something that takes a while begins."""

    def checked(self, candidate: Candidate, check: Check) -> None:
        """A check has passed or failed."""


@dataclass(frozen=True)
class _Prepared:
    order: Order
    staging: Staging
    manifest: manifest_pb2.Manifest
    provenance: dict[str, Any]
    page: bytes
    """report.html."""

    def files(self, version: int) -> dict[str, bytes]:
        """What depends on the version: the manifest, the provenance, and their hashes."""
        about = manifest.to_bytes(self.manifest, version)
        how = {provenance.FILE: provenance.to_bytes(self.provenance, about), html_report.FILE: self.page}
        return {
            manifest.FILE: about,
            checksums.MANIFEST_SUMS: checksums.sums({manifest.FILE: about}),
            **how,
            checksums.PROVENANCE_SUMS: checksums.sums(how),
        }


def export(
    orders: Sequence[Order], repository: Repository, listener: Listener, tolerance: Tolerance | None = None
) -> list[Outcome]:
    """Publish every candidate, or none. Returns where each is, in order.

    Raises VerificationFailed with a sentence for each check that failed in any of them, and BadInput where the
    repository does not take them.
    """
    tolerance = tolerance or Tolerance()
    present = [find_present(o.candidate, repository, o.version) if o.skip_if_present else None for o in orders]
    for order, found in zip(orders, present, strict=True):
        if found is None:
            repository.require_free(order.candidate.name, order.version)
    with ExitStack() as stack:
        prepared: dict[int, _Prepared] = {}
        failures: list[str] = []
        for i, order in enumerate(orders):
            if present[i] is not None:
                continue
            staging = stack.enter_context(repository.staging())
            try:
                prepared[i] = _prepare(order, staging, listener, tolerance)
            except VerificationFailed as error:
                failures.extend(error.failures)
        if failures:
            raise VerificationFailed(failures)
        return [found or _publish(prepared[i]) for i, found in enumerate(present)]


def find_present(candidate: Candidate, repository: Repository, version: int | None = None) -> Outcome | None:
    """The version, or else the newest, where it is the very same candidate and its files are unchanged."""
    repository.require_name(candidate.name)
    versions = repository.versions(candidate.name)
    if not versions:
        return None
    path = repository.path(candidate.name, version or versions[-1])
    found = manifest.read_intact(path)
    if found is None or found.fingerprint != candidate.fingerprint:
        return None
    return Outcome(found, path, published=False)


def _prepare(order: Order, staging: Staging, listener: Listener, tolerance: Tolerance) -> _Prepared:
    candidate = order.candidate
    files: dict[str, bytes] = {}
    listener.step(candidate, "tracing with torch.export")
    program = to_program(candidate)
    files[PT2] = to_pt2(program)
    listener.step(candidate, "exporting to ONNX")
    files[ONNX] = to_onnx(candidate, program)
    listener.step(candidate, "tracing to TorchScript")
    files[TORCHSCRIPT] = to_torchscript(candidate)
    if candidate.labels:
        files[LABELS] = "".join(f"{label}\n" for label in candidate.labels).encode()
    paths = {name: staging.write(name, data) for name, data in files.items()}
    listener.step(candidate, "verifying")
    checks = _passed(
        candidate,
        listener,
        verify(
            candidate,
            torchscript=paths[TORCHSCRIPT],
            pt2=paths[PT2],
            onnx_file=paths[ONNX],
            tolerance=tolerance,
            expect_parameters=order.expect_parameters,
        ),
    )
    variants = Variants(candidate, files[ONNX], staging.write)
    checks += _passed(candidate, listener, variants.pixels(tolerance))
    if order.material is not None:
        listener.step(candidate, "making and judging faster variants")
        checks += _passed(candidate, listener, variants.precisions(order.material, order.precisions))
    files |= {v.file: v.content for v in variants.published}
    files[REFERENCES] = references.references(variants.forms)
    if order.baseline is not None:
        attempts = [a.about for a in variants.attempts]
        checks += _passed(candidate, listener, order.baseline.checks(files, attempts, same_answers=order.same_answers))
    staging.keep(files)
    proven = [c.name for c in checks if c.passed and not c.name.startswith(CALLERS)]
    comparisons = [comparison for c in checks for comparison in c.comparisons]
    about = manifest.describe(candidate, files=files, tolerance=tolerance, checks=proven, variants=variants.published)
    how = provenance.describe(comparisons, variants=[a.about for a in variants.attempts])
    page = html_report.page(
        candidate,
        files=files,
        checks=checks,
        attempts=how["variants"],
        outputs=plotted(candidate, variants, paths),
        samples=samples(candidate, files.get("model.pixels.onnx"), order.material),
        exported=f"{how['exported']} on {how['cpu']}",
    )
    return _Prepared(order, staging, about, how, page)


def _passed(candidate: Candidate, listener: Listener, checks: Iterable[Check]) -> list[Check]:
    """Go through checks. Raises VerificationFailed, behind the last one, where a required one was not passed."""
    done = []
    for check in checks:
        listener.checked(candidate, check)
        done.append(check)
    failures = [f"{candidate.name}: {c.name}: {c.detail}" for c in done if not c.passed and c.required]
    if failures:
        raise VerificationFailed(failures)
    return done


def _publish(prepared: _Prepared) -> Outcome:
    about = prepared.manifest
    path = prepared.staging.publish(about.name, prepared.order.version, prepared.files)
    about.version = int(path.name)
    return Outcome(about, path, published=True)
