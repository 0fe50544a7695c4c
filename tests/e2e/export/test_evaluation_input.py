"""Pictures to judge by that are missing, of other classes or too few end in a sentence; nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from convserve_export.cli import main
from PIL import Image


def folder_of(path: Path, classes: list[str], each: int) -> Path:
    noise = np.random.default_rng(0)
    for name in classes:
        (path / name).mkdir(parents=True)
        for i in range(each):
            Image.fromarray(noise.integers(0, 256, (32, 32, 3), np.uint8)).save(path / name / f"{i}.png")
    return path


LABELS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def error_of(capsys: pytest.CaptureFixture[str], tmp_path: Path, *arguments: str) -> str:
    assert main(["--checkpoint", "random", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert not list((tmp_path / "out").rglob("*"))
    return capsys.readouterr().err


def test_pictures_of_other_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = folder_of(tmp_path / "pictures", ["cat", "dog"], 1)
    error = error_of(capsys, tmp_path, "--evaluate", str(pictures))
    assert "--evaluate has pictures of the classes cat, dog; the network has airplane, " in error


def test_too_few_pictures_to_judge_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = folder_of(tmp_path / "pictures", LABELS, 2)
    assert "18 pictures to judge by; give at least 100" in error_of(capsys, tmp_path, "--evaluate", str(pictures))


def test_pictures_that_are_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in error_of(capsys, tmp_path, "--evaluate", str(tmp_path / "nowhere"))


def test_calibration_without_anything_to_judge_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give --evaluate, too" in error_of(capsys, tmp_path, "--calibration", str(tmp_path))


def test_precisions_that_do_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'int4' is not a list of int8, fp16" in error_of(capsys, tmp_path, "--precisions", "int4")
