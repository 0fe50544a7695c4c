"""Checks that run the forms of a network: equal outputs at any size, same top-1, inert dropout, independent rows."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from convserve_proto import manifest_pb2
from torch import nn

from convserve_export import forms
from convserve_export.candidate import Candidate
from convserve_export.cases import Array, Case
from convserve_export.check import Check, Comparison, first_line
from convserve_export.comparison import Tolerance, compare, disagreeing_rows
from convserve_export.forms import Form


@dataclass(frozen=True)
class Run:
    """One form on one case, beside the eager module: outputs by name, or what went wrong."""

    case: Case
    expected: dict[str, Array]
    outputs: dict[str, Array]
    fault: str = ""


def check_inert(candidate: Candidate) -> Iterator[Check]:
    """Dropout does nothing: two runs are equal to the bit, and so is one without dropout at all."""
    without = forms.ModuleForm("without dropout", without_dropout(candidate.module), candidate)
    form = forms.eager(candidate)
    case = max(candidate.cases, key=lambda c: c.rows)
    first, again, bare = form.run(case.inputs), form.run(case.inputs), without.run(case.inputs)
    for name, other, detail in (
        ("repeatable", again, "two runs are equal to the bit"),
        ("dropout inert", bare, "equal to the bit without dropout"),
    ):
        worst = max(float(np.abs(first[n].astype(np.float64) - other[n]).max(initial=0.0)) for n in first)
        yield Check(name, worst == 0.0, detail if worst == 0.0 else f"outputs differ by {worst:.3g} ({case})")


def without_dropout(module: nn.Module) -> nn.Module:
    """A copy in training mode whose dropout drops nothing and whose normalizations use their fixed statistics."""
    bare = copy.deepcopy(module).train()
    for part in bare.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
        elif isinstance(part, nn.modules.batchnorm._NormBase):
            part.eval()
    return bare


def check_form(candidate: Candidate, form: Form, tolerance: Tolerance) -> Iterator[Check]:
    """A form runs on every case, gives the eager module's outputs within the tolerance, and the same top-1."""
    runs = [run_case(candidate, form, case) for case in candidate.cases]
    yield check_runs(candidate, form.name, runs)
    good = [r for r in runs if not r.fault]
    if good:
        yield check_outputs(candidate, form.name, good, tolerance)
    if good and candidate.task == manifest_pb2.TASK_IMAGE_CLASSIFICATION:
        yield check_top1(form.name, good, tolerance)
    if candidate.batched:
        yield check_rows(candidate, form, tolerance)


def check_runs(candidate: Candidate, form: str, runs: Sequence[Run]) -> Check:
    """Every case ran, and gave outputs of the right names and shapes."""
    faults = [f"{r.case}: {r.fault}" for r in runs if r.fault]
    sizes = f"{len(runs)} cases" + (
        f", batch sizes {', '.join(str(n) for n in sorted({r.case.rows for r in runs}))}" if candidate.batched else ""
    )
    more = f" (and {len(faults) - 1} more cases)" if len(faults) > 1 else ""
    return Check(f"{form} runs at any size", not faults, f"{faults[0]}{more}" if faults else sizes)


def run_case(candidate: Candidate, form: Form, case: Case) -> Run:
    """Run a form and the eager module. Outputs of other names or shapes, and errors of the runtime, are faults."""
    expected = forms.eager(candidate).run(case.inputs)
    try:
        outputs = form.run(case.inputs)
    except Exception as error:  # a runtime may raise anything; a graph with a frozen axis makes it do so
        return Run(case, expected, {}, first_line(error))
    shapes = {n: a.shape for n, a in outputs.items()}
    wanted = {n: a.shape for n, a in expected.items()}
    fault = "" if shapes == wanted else f"outputs are {shapes}, not {wanted}"
    return Run(case, expected, outputs, fault)


def check_outputs(candidate: Candidate, form: str, runs: Sequence[Run], tolerance: Tolerance) -> Check:
    """Every output of every case within the tolerance."""
    comparisons = tuple(
        Comparison(form, r.case, compare(r.expected[s.name], r.outputs[s.name], tolerance, batched=candidate.batched))
        for r in runs
        for s in candidate.outputs
    )
    # The first NaN, where there is one, is worse than any number.
    worst = max(comparisons, key=lambda c: np.inf if np.isnan(c.difference.used) else c.difference.used)
    figures = f"largest difference {worst.difference.absolute:.3g}, {worst.difference.used:.2%} of the tolerance"
    if worst.difference.within:
        return Check(f"{form} equals eager", True, figures, comparisons)
    failed = sum(not c.difference.within for c in comparisons)
    where = f"{worst.case}, row {worst.difference.row}"
    detail = f"{failed} of {len(comparisons)} comparisons fail; the worst ({where}): {figures}"
    return Check(f"{form} equals eager", False, detail, comparisons)


def check_top1(form: str, runs: Sequence[Run], tolerance: Tolerance) -> Check:
    """The same best class wherever the two best of a row differ by more than the tolerance."""
    rows = sum(r.case.rows for r in runs)
    bad = [
        f"{r.case}, row {row}"
        for r in runs
        for name in r.expected
        for row in disagreeing_rows(r.expected[name], r.outputs[name], tolerance)
    ]
    detail = f"{len(bad)} of {rows} rows disagree, the first: {bad[0]}" if bad else f"agrees on {rows} rows"
    return Check(f"{form} top-1", not bad, detail)


def check_rows(candidate: Candidate, form: Form, tolerance: Tolerance) -> Check:
    """A row's outputs do not depend on the rows beside it, so that a server may batch strangers together."""
    name = f"{form.name} rows independent"
    case = next((c for c in candidate.cases if c.rows > 2), candidate.cases[0])
    try:
        together = form.run(case.inputs)
        alone = [form.run({n: a[i : i + 1] for n, a in case.inputs.items()}) for i in range(case.rows)]
        differences = [
            compare(together[n], np.concatenate([one[n] for one in alone]), tolerance, batched=True) for n in together
        ]
    except Exception as error:  # see run_case; a row too many or too few ends here as well
        return Check(name, False, f"{case}, then one by one: {first_line(error)}")
    worst = max(differences, key=lambda d: np.inf if np.isnan(d.used) else d.used)
    figures = f"alone or among {case.rows}: largest difference {worst.absolute:.3g}, {worst.used:.2%} of the tolerance"
    return Check(name, worst.within, figures)
