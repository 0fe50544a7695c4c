"""One real export, shared by the tests that look at it; torch needs seconds for each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from convserve_export import exporting
from convserve_export.candidate import Candidate
from convserve_export.checkpoint import random_network
from convserve_export.classifier import classifier
from convserve_export.cli import main
from convserve_export.convolution import convolution
from convserve_export.pictures import shipped_pictures


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small batches, on which torch's threads wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Exported:
    """The folder that was published to, and what was printed as JSON."""

    out: Path
    report: dict[str, Any]

    @property
    def classifier(self) -> Path:
        return self.out / "simple_cnn" / "1"

    @property
    def convolution(self) -> Path:
        return self.out / "convolve" / "1"

    def manifest(self, folder: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        return content


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """``--checkpoint random``, both models, as published. Not to be changed: copy it (see ``copied``)."""
    out = tmp_path_factory.mktemp("exported")
    stdout = StringIO()
    with redirect_stdout(stdout):
        assert main(["--checkpoint", "random", "--out", str(out), "--json", "--expect-parameters", "1147466"]) == 0
    return Exported(out, json.loads(stdout.getvalue()))


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Exported:
    """A copy of ``exported`` that a test may change."""
    shutil.copytree(exported.out, tmp_path / "copied")
    return Exported(tmp_path / "copied", exported.report)


@pytest.fixture(scope="session")
def candidates() -> dict[str, Candidate]:
    """What ``exported`` was made of."""
    labels = Path(exporting.__file__).parent / "checkpoints" / "simple_cnn_cifar10.labels.txt"
    network = classifier(
        name="simple_cnn",
        network=random_network(10, 0),
        labels=labels.read_text().split(),
        pictures=shipped_pictures(),
    )
    return {"simple_cnn": network, "convolve": convolution()}


@pytest.fixture
def quick(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Replaces the slow exporter by the graph that it made before, with the candidate's weights; 10 classes only.

    Returns how often it was asked.
    """
    asked: list[str] = []

    def to_onnx(candidate: Candidate, program: object) -> bytes:
        asked.append(candidate.name)
        graph = exported.convolution if candidate.name == "convolve" else exported.classifier
        model = onnx.load(graph / "model.onnx")
        weights = candidate.module.state_dict()
        for initializer in model.graph.initializer:
            if initializer.name in weights:
                values = onnx.numpy_helper.from_array(weights[initializer.name].numpy(), initializer.name)
                initializer.CopyFrom(values)
        return model.SerializeToString()

    monkeypatch.setattr(exporting, "to_onnx", to_onnx)
    return lambda: len(asked)
