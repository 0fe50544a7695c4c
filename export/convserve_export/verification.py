"""The proof that every form of a candidate is the same network; nothing is published without it.

The checks work on named tensors and know no particular network, so another network, or another form of one, is one more
argument and not one more file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from convserve_export import forms
from convserve_export.candidate import Candidate
from convserve_export.check import Check, first_line
from convserve_export.comparison import Tolerance
from convserve_export.file_checks import (
    check_expected_parameters,
    check_finite,
    check_parameters,
    check_signature,
)
from convserve_export.forms import Form
from convserve_export.graph_checks import check_graph
from convserve_export.output_checks import check_form, check_inert, check_rows, check_runs, run_case
from convserve_export.threads import one_thread

INT8_ROWS = Tolerance(atol=0.05, rtol=0.05)
"""Rows of an int8 network may differ by a step of its numbers, where a kernel for more rows rounds the other way."""


def verify(
    candidate: Candidate,
    *,
    torchscript: Path,
    pt2: Path,
    onnx_file: Path,
    tolerance: Tolerance,
    expect_parameters: int | None = None,
) -> Iterator[Check]:
    """Every check in turn, cheap ones first, on the files as they will be published. Goes on behind most failures."""
    with one_thread():
        yield from _checks(candidate, torchscript, pt2, onnx_file, tolerance, expect_parameters)


def _checks(
    candidate: Candidate,
    torchscript: Path,
    pt2: Path,
    onnx_file: Path,
    tolerance: Tolerance,
    expect_parameters: int | None,
) -> Iterator[Check]:
    finite = check_finite(candidate.module)
    yield finite
    if not finite.passed:
        return  # every other check would fail for this reason
    yield check_parameters(candidate, torchscript, pt2, onnx_file)
    if expect_parameters is not None:
        yield check_expected_parameters(candidate, expect_parameters)
    yield check_graph(onnx_file)
    yield check_signature(candidate, onnx_file)
    yield from check_inert(candidate)
    loaders: tuple[tuple[str, Callable[[], Form]], ...] = (
        ("torchscript", lambda: forms.torchscript(candidate, torchscript)),
        ("torch.export", lambda: forms.pt2(candidate, pt2)),
        ("onnxruntime", lambda: forms.RuntimeForm(onnx_file)),
    )
    for name, load in loaders:
        try:
            form = load()
        except Exception as error:  # whatever a runtime raises, its file is not fit to publish
            yield Check(f"{name} loads", False, first_line(error))
            continue
        yield from check_form(candidate, form, tolerance)


def verify_variant(candidate: Candidate, path: Path, *, name: str, tolerance: Tolerance | None) -> Iterator[Check]:
    """An ONNX file that is another form of a proven candidate; ``name`` is what its checks call it.

    Without a tolerance its outputs may be others (how good they are is for gates to say); it must run at any size, and
    its rows must not depend on each other.
    """
    with one_thread():
        for check in (check_graph(path), check_signature(candidate, path)):
            yield replace(check, name=f"{name} {check.name}")
        try:
            form = forms.RuntimeForm(path, name)
        except Exception as error:  # see _checks
            yield Check(f"{name} loads", False, first_line(error))
            return
        if tolerance is not None:
            yield from check_form(candidate, form, tolerance)
            return
        yield check_runs(candidate, name, [run_case(candidate, form, case) for case in candidate.cases])
        yield check_rows(candidate, form, INT8_ROWS)
