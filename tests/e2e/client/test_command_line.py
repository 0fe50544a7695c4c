"""The convserve command against a real server: real photographs, the demo, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.signal import correlate2d

from .conftest import Convserve


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs, and one file that only looks like one."""
    folder = tmp_path_factory.mktemp("photographs")
    pictures: Any = skimage.data  # its functions have no types
    Image.fromarray(pictures.chelsea()).save(folder / "cat.jpg")
    Image.fromarray(pictures.astronaut()).save(folder / "astronaut.png")
    (folder / "bad.png").write_bytes(b"this is no picture")
    return folder


def test_models_name_what_is_served_and_on_what_it_runs(convserve: Convserve) -> None:
    done = convserve("models")
    assert done.returncode == 0, done.stderr
    assert "simple_cnn" in done.stdout
    assert "convolve" in done.stdout
    assert "CPUExecutionProvider" in done.stdout


def test_health_speaks_for_the_server_and_for_each_model(convserve: Convserve) -> None:
    assert convserve("health").returncode == 0
    assert convserve("health", "--model", "simple_cnn").returncode == 0
    unknown = convserve("health", "--model", "nope")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "nope" in unknown.stderr


def test_a_cat_is_a_cat(convserve: Convserve, photographs: Path) -> None:
    done = convserve("classify", photographs / "cat.jpg", "--json")
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    assert image["classifications"][0]["label"] == "cat"
    assert len(image["classifications"]) == 5


def test_in_a_folder_the_file_that_is_no_picture_fails_alone(convserve: Convserve, photographs: Path) -> None:
    done = convserve("classify", photographs, "--top-k", "3")
    assert done.returncode == 1
    assert str(photographs / "bad.png") in done.stderr
    assert "2 of 3 images classified by simple_cnn version 1, 1 failed" in done.stdout
    assert "█" in done.stdout or "▏" in done.stdout


def test_the_demo_answers_8_everywhere_and_minus_8_with_the_kernel_flipped(convserve: Convserve) -> None:
    rows = ["  +8  +8  +8"] * 3
    assert rows == convserve("convolve", "--matrix", "demo").stdout.splitlines()[-4:-1]
    flipped = convserve("convolve", "--matrix", "demo", "--operation", "convolution").stdout.splitlines()
    assert [row.replace("+", "-") for row in rows] == flipped[-4:-1]


def test_an_edge_picture_of_a_photograph_is_written(convserve: Convserve, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "edges.png"
    done = convserve("convolve", photographs / "cat.jpg", "-o", out, "--gradient", "--padding", "same")
    assert done.returncode == 0, done.stderr
    with Image.open(out) as picture, Image.open(photographs / "cat.jpg") as photograph:
        assert picture.size == photograph.size
        assert np.asarray(picture).std() > 1


def test_a_kernel_of_ones_own_gives_what_scipy_gives(convserve: Convserve, tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    kernel = np.array([[1, 0], [0.5, -1], [2, 0]], np.float32)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "kernel.npy", kernel)
    done = convserve(
        "convolve",
        "--matrix",
        tmp_path / "image.npy",
        "--kernel-file",
        tmp_path / "kernel.npy",
        "-o",
        tmp_path / "r.npy",
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        np.load(tmp_path / "r.npy")[0], correlate2d(image, kernel, "valid"), rtol=1e-5, atol=1e-5
    )


def test_a_kernel_larger_than_the_image_is_refused_by_the_server_with_1(convserve: Convserve) -> None:
    done = convserve("convolve", "--matrix", "demo", "--kernel", json.dumps([[1] * 9] * 9))
    assert done.returncode == 1
    assert "INVALID_ARGUMENT" in done.stderr


def test_infer_writes_logits(convserve: Convserve, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 3, 32, 32), np.float32))
    done = convserve("infer", "simple_cnn", "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "y.npy").shape == (3, 10)


def test_infer_with_a_wrong_type_or_name_says_what_fits(convserve: Convserve, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 32, 32)))
    wrong_type = convserve("infer", "simple_cnn", "--input", tmp_path / "x.npy")
    assert wrong_type.returncode == 1
    assert "FP32" in wrong_type.stderr
    wrong_name = convserve("infer", "simple_cnn", "--input", f"picture={tmp_path / 'x.npy'}")
    assert wrong_name.returncode == 1
    assert "'input'" in wrong_name.stderr


def test_nothing_is_left_beside_a_file_that_was_written(convserve: Convserve, tmp_path: Path) -> None:
    assert convserve("convolve", "--matrix", "demo", "-o", tmp_path / "r.npy").returncode == 0
    assert np.load(tmp_path / "r.npy").shape == (1, 3, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["r.npy"]
