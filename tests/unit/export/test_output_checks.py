"""Checks that run forms, on a network with two inputs and two outputs and on forms with known faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from convserve_export.candidate import Candidate
from convserve_export.cases import Array, Case, Tensors, TensorSpec
from convserve_export.check import Check
from convserve_export.comparison import Tolerance
from convserve_export.forms import ModuleForm, eager
from convserve_export.output_checks import check_form, check_inert
from convserve_proto import manifest_pb2
from torch import Tensor, nn

TOLERANCE = Tolerance()


class Pair(nn.Module):
    """Two inputs, two outputs, a normalization and a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        total = self.dropout(self.norm(self.fc(left + right)))
        return total, left - right


def pair(module: nn.Module) -> Candidate:
    generator = np.random.default_rng(0)
    cases = tuple(
        Case(
            "random",
            rows,
            {n: generator.standard_normal((rows, 4), dtype=np.float32) for n in ("left", "right")},
        )
        for rows in (1, 2, 5)
    )
    return Candidate(
        name="pair",
        task=manifest_pb2.TASK_IMAGE_CLASSIFICATION,
        module=module.eval(),
        inputs=(TensorSpec("left", "FP32", ("batch", 4)), TensorSpec("right", "FP32", ("batch", 4))),
        outputs=(TensorSpec("sum", "FP32", ("batch", 3)), TensorSpec("difference", "FP32", ("batch", 4))),
        batched=True,
        example=(torch.ones(3, 4), torch.ones(3, 4)),
        cases=cases,
        expected_parameters=21,
    )


@pytest.fixture
def candidate() -> Candidate:
    torch.manual_seed(0)
    return pair(Pair())


class Faulty:
    """The eager module with something done to its outputs."""

    name = "faulty"

    def __init__(self, candidate: Candidate, fault: Callable[[dict[str, Array], int], dict[str, Array]]) -> None:
        self._form, self._fault = eager(candidate), fault

    def run(self, inputs: Tensors) -> dict[str, Array]:
        outputs = {n: a.copy() for n, a in self._form.run(inputs).items()}
        return self._fault(outputs, len(inputs["left"]))


def failures(checks: Iterator[Check]) -> dict[str, str]:
    return {c.name: c.detail for c in checks if not c.passed}


def test_a_form_that_is_the_same_network_passes_with_a_comparison_for_every_output_of_every_case(
    candidate: Candidate,
) -> None:
    checks = list(check_form(candidate, ModuleForm("same", candidate.module, candidate), TOLERANCE))
    assert all(c.passed for c in checks)
    assert [len(c.comparisons) for c in checks if c.comparisons] == [6]


def test_a_difference_fails_and_is_told_with_its_size_and_place(candidate: Candidate) -> None:
    def shift(outputs: dict[str, Array], rows: int) -> dict[str, Array]:
        if rows == 5:
            outputs["difference"][3] += 0.25
        return outputs

    found = failures(check_form(candidate, Faulty(candidate, shift), TOLERANCE))
    assert "largest difference 0.25" in found["faulty equals eager"]
    assert "random, batch size 5, row 3" in found["faulty equals eager"]


def test_another_top1_fails(candidate: Candidate) -> None:
    def swap(outputs: dict[str, Array], rows: int) -> dict[str, Array]:
        outputs["sum"] = outputs["sum"][:, ::-1].copy()
        return outputs

    assert "rows disagree" in failures(check_form(candidate, Faulty(candidate, swap), TOLERANCE))["faulty top-1"]


def test_a_frozen_batch_axis_fails_whether_the_runtime_refuses_or_answers_with_the_wrong_shape(
    candidate: Candidate,
) -> None:
    def refuse(outputs: dict[str, Array], rows: int) -> dict[str, Array]:
        if rows != 2:
            raise RuntimeError(f"Got: {rows} Expected: 2\nmore")
        return outputs

    def always_two(outputs: dict[str, Array], rows: int) -> dict[str, Array]:
        return {n: np.resize(a, (2, a.shape[1])) for n, a in outputs.items()}

    refused = failures(check_form(candidate, Faulty(candidate, refuse), TOLERANCE))
    assert refused["faulty runs at any size"] == "random, batch size 1: Got: 1 Expected: 2 (and 1 more cases)", (
        "one line, the first case in full"
    )
    assert (
        "(2, 3)" in failures(check_form(candidate, Faulty(candidate, always_two), TOLERANCE))["faulty runs at any size"]
    )


def test_rows_that_depend_on_their_neighbours_fail(candidate: Candidate) -> None:
    def mean(outputs: dict[str, Array], rows: int) -> dict[str, Array]:
        return {n: a - a.mean(axis=0, keepdims=True) for n, a in outputs.items()}

    assert "faulty rows independent" in failures(check_form(candidate, Faulty(candidate, mean), TOLERANCE))


def test_nan_outputs_fail(candidate: Candidate) -> None:
    def nan(outputs: dict[str, Array], rows: int) -> dict[str, Array]:
        outputs["sum"][0, 0] = np.nan
        return outputs

    assert "nan" in failures(check_form(candidate, Faulty(candidate, nan), TOLERANCE))["faulty equals eager"]


def test_dropout_of_a_module_in_evaluation_mode_is_inert(candidate: Candidate) -> None:
    assert failures(check_inert(candidate)) == {}
    assert not candidate.module.training, "the module itself stays as it was"


def test_dropout_that_is_active_is_caught(candidate: Candidate) -> None:
    candidate.module.train()
    assert set(failures(check_inert(candidate))) == {"repeatable", "dropout inert"}


def test_dropout_that_is_repeatable_is_caught_all_the_same() -> None:
    class Halved(nn.Dropout):
        """Does in evaluation what dropout does on average, scaled wrongly: repeatable, and not inert."""

        def forward(self, x: Tensor) -> Tensor:
            return x * (1 - self.p)

    module = Pair()
    module.dropout = Halved(0.5)
    assert set(failures(check_inert(pair(module)))) == {"dropout inert"}
