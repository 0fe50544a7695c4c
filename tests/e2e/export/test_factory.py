"""A network of the user's own: published with proof like SimpleCNN, or refused with what is wrong in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from convserve_client import Client
from convserve_export.cli import main
from support.servers import running_app

from .own_networks import two_by_two

HERE = Path(__file__).parent
TWO = ("--input-shape", "image=3,width", "--input-shape", "weights=2")


@pytest.fixture(autouse=True)
def in_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """--factory finds modules in the current folder."""
    monkeypatch.chdir(HERE)


def export(out: Path, function: str, *arguments: str) -> int:
    command = ["--factory", f"own_networks:{function}", "--model-name", "mine", "--no-convolve", "--out", str(out)]
    return main([*command, *arguments])


def test_two_inputs_two_outputs_and_a_free_axis_are_exported_served_and_called(tmp_path: Path) -> None:
    assert export(tmp_path, "two_by_two", *TWO, "--output-names", "seen,total", "--expect-parameters", "14") == 0
    manifest = json.loads((tmp_path / "mine" / "1" / "manifest.json").read_text())
    assert [(t["name"], t["shape"]) for t in manifest["inputs"]] == [("image", [-1, 3, -1]), ("weights", [-1, 2])]
    assert [(t["name"], t["shape"]) for t in manifest["outputs"]] == [("seen", [-1, -1, 2]), ("total", [-1, 2])]
    assert manifest["parameters"]["total"] == 14
    assert main(["verify", str(tmp_path)]) == 0
    network = two_by_two().eval()
    with running_app(tmp_path) as app, Client(f"127.0.0.1:{app.port}") as client:
        for rows, width in ((1, 5), (6, 31)):
            image = np.random.default_rng(rows).standard_normal((rows, 3, width), np.float32)
            weights = np.ones((rows, 2), np.float32)
            outputs = client.infer("mine", {"image": image, "weights": weights}).outputs
            with torch.inference_mode():
                seen, total = network(torch.from_numpy(image), torch.from_numpy(weights))
            np.testing.assert_allclose(outputs["seen"], seen.numpy(), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(outputs["total"], total.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--factory", "own_networks"), "it takes package.module:function"),
        (("--factory", "no_such_module:f"), "No module named 'no_such_module'"),
        (("--factory", "own_networks:missing"), "has no attribute 'missing'"),
        (("--factory", "own_networks:fails"), "ValueError: no such file: weights.bin"),
        (("--factory", "own_networks:no_module"), "returned int; expected a torch.nn.Module"),
        (("--factory", "own_networks:two_by_two"), "the network does not run on image [4, 5]"),
        (("--factory", "own_networks:NoTensor"), "the network returned dict for x [4, 5]"),
        (("--factory", "own_networks:Frozen"), "the network does not run on x [3, 5]"),
        (("--factory", "own_networks:Pooled"), "axis 0 of every output must be the batch"),
        (("--factory", "own_networks:Branching"), "must not branch on the values of tensors"),
        (("--factory", "own_networks:Branching", "--input-shape", "6"), "2 input shapes for a forward that takes 1: x"),
        (("--factory", "own_networks:Branching", "--output-names", "a,b"), "2 output names for a network with 1"),
        (("--factory", "own_networks:Branching", "--evaluate", "."), "give --labels with --factory"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--input-shape", "5", "--no-convolve", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert list(tmp_path.rglob("*")) == []


def test_a_factory_needs_a_shape_and_a_shape_a_factory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tmp_path, "two_by_two") == 2
    assert "--factory needs --input-shape" in capsys.readouterr().err
    assert main(["--input-shape", "3,32,32", "--out", str(tmp_path)]) == 2
    assert "give --factory MODULE:FUNCTION with it" in capsys.readouterr().err
    assert export(tmp_path, "two_by_two", "--input-shape", "3,,4") == 2
    assert "'3,,4' is not a shape such as 3,32,32" in capsys.readouterr().err


def test_weights_that_do_not_fit_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"left.weight": torch.ones(9, 3)}, tmp_path / "w.pt")
    assert export(tmp_path / "out", "two_by_two", *TWO, "--checkpoint", str(tmp_path / "w.pt")) == 2
    error = capsys.readouterr().err
    assert "do not fit the network" in error
    assert 'Missing key(s) in state_dict: "left.bias"' in error
    assert "size mismatch for left.weight" in error


def test_weights_that_are_no_numbers_fail_the_verification(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tmp_path, "nan_weights", *TWO) == 1
    assert "NaN or infinite values: shared.bias has 2" in capsys.readouterr().err
    assert list(tmp_path.rglob("*")) == []


def test_rows_that_depend_on_their_neighbours_fail_the_verification(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path, "Mixing", "--input-shape", "5") == 1
    assert "rows independent" in capsys.readouterr().err


def test_the_same_network_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        assert export(tmp_path / name, "two_by_two", *TWO) == 0
    apart = {"provenance.json", "provenance.sha256", "report.html"}
    files = [p for p in (tmp_path / "one").rglob("*") if p.is_file() and p.name not in apart]
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "other" / file.relative_to(tmp_path / "one")).read_bytes(), file
