"""A comparison with a published version: what got worse fails, by name and figure; what did not is published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import onnx
import pytest
from convserve_export.baseline import Baseline
from convserve_export.cli import main

from .conftest import Exported


@pytest.fixture
def published(copied: Exported) -> Path:
    """A version that was judged: fp32 and int8."""
    file = copied.classifier / "provenance.json"
    provenance = json.loads(file.read_text())
    provenance["variants"] = [variant("fp32"), variant("int8", accuracy=0.86, speed=2000.0)]
    file.write_text(json.dumps(provenance))
    return copied.classifier


def variant(precision: str, *, accuracy: float = 0.87, speed: float = 1000.0, published: bool = True) -> dict[str, Any]:
    return {
        "precision": precision,
        "accuracy": accuracy,
        "published": published,
        "faults": [] if published else ["it agrees with fp32 on 9.00%"],
        "images_per_second": {"values": {"8": speed}},
    }


def failed(
    published: Path, *attempts: dict[str, Any], graph: bytes | None = None, same: bool = False
) -> dict[str, str]:
    files = {"model.onnx": (published / "model.onnx").read_bytes() if graph is None else graph}
    checks = Baseline(published).checks(files, list(attempts), same_answers=same)
    return {c.name: c.detail for c in checks if not c.passed}


def test_what_is_as_good_passes(published: Path) -> None:
    assert (
        failed(published, variant("fp32", accuracy=0.868), variant("int8", accuracy=0.861, speed=1900), same=True) == {}
    )


def test_what_got_worse_is_named_with_figures(published: Path) -> None:
    worse = (variant("fp32", accuracy=0.86), variant("int8", accuracy=0.86, speed=1100, published=False))
    assert failed(published, *worse) == {
        "baseline: accuracy of fp32": "86.00%, was 87.00%",
        "baseline: int8": "no longer published: it agrees with fp32 on 9.00%",
        "baseline: speed of int8": "1.10 times as fast as fp32, was 2.00",
    }


def test_a_graph_that_grew_is_named(published: Path) -> None:

    model = onnx.load(published / "model.onnx")
    model.doc_string = "x" * 1_000_000
    found = failed(published, graph=model.SerializeToString())
    assert "model.onnx has 5,5" in found["baseline: sizes"]


def test_another_network_is_another_version_and_fails_only_where_the_same_answers_are_wanted(
    published: Path, tmp_path: Path, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--checkpoint", "random", "--seed", "1", "--no-convolve", "--out", str(tmp_path / "out")]
    command += ["--baseline", str(published)]
    assert main(command) == 0
    report = tmp_path / "junit.xml"
    assert main([*command, "--same-answers", "--junit", str(report)]) == 1
    assert "baseline: answers: other answers than" in capsys.readouterr().err
    (suite,) = ElementTree.parse(report).getroot()
    assert [c.get("name") for c in suite if c.find("failure") is not None] == ["baseline: answers"]
    assert [p.name for p in (tmp_path / "out" / "simple_cnn").iterdir()] == ["1"], "the regression is not published"


def test_a_baseline_that_is_none_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--checkpoint", "random", "--no-convolve", "--out", str(tmp_path / "out"), "--baseline", str(tmp_path)]
    assert main(command) == 2
    assert "is no artifact to compare with" in capsys.readouterr().err
