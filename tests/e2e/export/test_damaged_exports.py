"""An export that is not the network it claims to be is not published, and the reason comes with a figure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from convserve_export import exporting
from convserve_export.candidate import Candidate
from convserve_export.cli import main
from convserve_export.comparison import Tolerance
from convserve_export.verification import verify
from torch import Tensor, nn

from .conftest import Exported


def failures(candidate: Candidate, folder: Path, **options: int) -> dict[str, str]:
    checks = verify(
        candidate,
        torchscript=folder / "model.pt",
        pt2=folder / "model.pt2",
        onnx_file=folder / "model.onnx",
        tolerance=Tolerance(),
        **options,
    )
    return {c.name: c.detail for c in checks if not c.passed}


def edit(folder: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")


def initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(i for i in model.graph.initializer if i.name == name)


def test_what_was_published_passes(exported: Exported, candidates: dict[str, Candidate]) -> None:
    assert failures(candidates["simple_cnn"], exported.classifier, expect_parameters=1_147_466) == {}
    assert failures(candidates["convolve"], exported.convolution) == {}


def test_a_damaged_weight_is_caught_by_how_much_it_changes_the_outputs(
    copied: Exported, candidates: dict[str, Candidate]
) -> None:
    def damage(model: onnx.ModelProto) -> None:
        bias = initializer(model, "fc2.bias")
        values = onnx.numpy_helper.to_array(bias).copy()
        values[3] += 0.5
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))

    edit(copied.classifier, damage)
    found = failures(candidates["simple_cnn"], copied.classifier)
    assert "24 of 24 comparisons fail" in found["onnxruntime equals eager"]
    assert "largest difference 0.5" in found["onnxruntime equals eager"]
    assert "rows disagree" in found["onnxruntime top-1"]
    assert not [name for name in found if name.startswith("torchscript")]


def test_a_frozen_batch_axis_is_caught_in_the_graph_and_by_running_it(
    copied: Exported, candidates: dict[str, Candidate]
) -> None:
    def freeze(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 4
        del model.graph.value_info[:]

    edit(copied.classifier, freeze)
    found = failures(candidates["simple_cnn"], copied.classifier)
    assert "the graph has input FP32 [4, 3, 32, 32]" in found["signature"]
    assert "random, batch size 1" in found["onnxruntime runs at any size"]


def test_a_batch_axis_that_is_frozen_inside_of_the_graph_is_caught_by_running_it(
    copied: Exported, candidates: dict[str, Candidate]
) -> None:
    def freeze(model: onnx.ModelProto) -> None:
        reshape = next(n for n in model.graph.node if n.op_type == "Reshape")
        shape = initializer(model, reshape.input[1])
        shape.CopyFrom(onnx.numpy_helper.from_array(np.array([4, 2048]), shape.name))

    edit(copied.classifier, freeze)
    assert "batch size 1" in failures(candidates["simple_cnn"], copied.classifier)["onnxruntime runs at any size"]


def test_another_number_of_parameters_names_all_counts(copied: Exported, candidates: dict[str, Candidate]) -> None:
    edit(copied.classifier, lambda model: model.graph.initializer.remove(initializer(model, "conv1.bias")))
    found = failures(candidates["simple_cnn"], copied.classifier)
    assert found["parameters"] == (
        "counts differ: 1,147,466 by formula, 1,147,466 by eager, 1,147,466 by torchscript, "
        "1,147,466 by torch.export, 1,147,434 by onnx"
    )


def test_an_invalid_graph_is_caught(copied: Exported, candidates: dict[str, Candidate]) -> None:
    def break_it(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type = "NoSuchOperator"

    edit(copied.classifier, break_it)
    found = failures(candidates["simple_cnn"], copied.classifier)
    assert "NoSuchOperator" in found["onnx.checker"]
    assert "onnxruntime loads" in found


@pytest.mark.parametrize("name", ["model.pt", "model.pt2", "model.onnx"])
def test_truncated_files_are_caught(copied: Exported, candidates: dict[str, Candidate], name: str) -> None:
    file = copied.classifier / name
    file.write_bytes(file.read_bytes()[:100_000])
    form = {"model.pt": "torchscript", "model.pt2": "torch.export", "model.onnx": "onnxruntime"}[name]
    assert f"{form} loads" in failures(candidates["simple_cnn"], copied.classifier)


def test_a_damaged_export_is_not_published_and_every_failure_is_one_line(
    tmp_path: Path, exported: Exported, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged(candidate: Candidate, program: object) -> bytes:
        model = onnx.load(exported.out / candidate.name / "1" / "model.onnx")
        for weight in model.graph.initializer:
            if weight.name == "conv2.weight":
                values = onnx.numpy_helper.to_array(weight) * 1.01
                weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return model.SerializeToString()

    monkeypatch.setattr(exporting, "to_onnx", damaged)
    assert main(["--checkpoint", "random", "--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any("simple_cnn: onnxruntime equals eager: 24 of 24 comparisons fail" in line for line in lines)
    assert all(line.startswith("convserve-export: simple_cnn: onnxruntime") for line in lines)
    assert list(tmp_path.rglob("*")) == [], "not even the model that was fine"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(
    tmp_path: Path, value: float, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    from convserve_export.checkpoint import random_network

    state: dict[str, Tensor] = dict(random_network(10, 0).state_dict())
    state["fc1.bias"][:3] = value
    torch.save(state, tmp_path / "bad.pt")
    out = tmp_path / "out"
    assert main(["--checkpoint", str(tmp_path / "bad.pt"), "--out", str(out), "--no-convolve"]) == 1
    assert capsys.readouterr().err == (
        "convserve-export: simple_cnn: finite weights: NaN or infinite values: fc1.bias has 3\n"
    )
    assert list(out.rglob("*")) == []


def test_a_wrong_expectation_of_parameters_names_both_numbers(
    tmp_path: Path, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--checkpoint", "random", "--out", str(tmp_path), "--no-convolve", "--expect-parameters", "1000"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error == "convserve-export: simple_cnn: expected parameters: expected 1,000, but the network has 1,147,466\n"
    assert list(tmp_path.rglob("*")) == []


def test_a_module_that_is_traced_with_its_batch_size_is_caught(
    copied: Exported, candidates: dict[str, Candidate]
) -> None:
    from dataclasses import replace

    from convserve_export.torchscript import to_torchscript

    class Frozen(nn.Module):
        """As the network was, but with the number of rows as a constant."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return torch.reshape(self.network(x), (4, 10))

    candidate = candidates["simple_cnn"]
    frozen = replace(candidate, module=Frozen(candidate.module).eval())
    (copied.classifier / "model.pt").write_bytes(to_torchscript(frozen))
    assert "batch size 1" in failures(candidate, copied.classifier)["torchscript runs at any size"]
