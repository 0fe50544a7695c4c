"""Computes the right answers for references.npz.

They are computed in float64 and rounded once, so they do not depend on the CPU that exports.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from convserve_export.candidate import Candidate
from convserve_export.cases import Array, Case, Tensors
from convserve_export.forms import ModuleForm
from convserve_export.reference_file import ReferenceCase, write_references

ROWS = 3
MOST_CASES = 6


def reference_cases(candidate: Candidate) -> tuple[Case, ...]:
    """A few of the candidate's cases: small, and one of each kind where it is batched."""
    if not candidate.batched:
        return candidate.cases[:MOST_CASES]
    chosen: dict[str, Case] = {}
    for case in candidate.cases:
        best = chosen.get(case.kind)
        if best is None or abs(case.rows - ROWS) < abs(best.rows - ROWS):
            chosen[case.kind] = case
    return tuple(chosen.values())[:MOST_CASES]


def references(candidates: Mapping[str, Candidate]) -> bytes:
    """The file for these candidates, by what they take: "values" or "pixels"."""
    return write_references(
        ReferenceCase(form == "pixels", case.kind, case.inputs, _answers(candidate, case.inputs))
        for form, candidate in candidates.items()
        for case in reference_cases(candidate)
    )


def _answers(candidate: Candidate, inputs: Tensors) -> dict[str, Array]:
    module = copy.deepcopy(candidate.module).double()
    wide = {n: a.astype(np.float64) if a.dtype == np.float32 else a for n, a in inputs.items()}
    try:
        form = ModuleForm("float64", module, candidate)
        answers = form.run(wide)
    except RuntimeError:
        # A module that makes float32 tensors of its own does not run in float64.
        answers = ModuleForm("eager", candidate.module, candidate).run(inputs)
    return {n: a.astype(np.float32) if a.dtype == np.float64 else a for n, a in answers.items()}
