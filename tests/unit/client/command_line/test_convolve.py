"""convserve convolve: matrices on the screen, pictures and numbers in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from convserve_client.commands.arrays import matrix_of_text
from convserve_proto import vision_pb2
from support.fake_server import FakeServer

from .conftest import Run


def test_the_demo_matrix_is_printed_with_its_response(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convolve", "--matrix", "demo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "image (5 x 5)"
    assert lines[5] == "  21  22  23  24  25"
    assert "response (5 x 5)" in lines
    assert lines[-1].startswith("cross-correlation, padding valid, stride 1: 5 x 5 positions in ")


def test_a_picture_of_the_response_is_written_whole(
    run: Run, server: FakeServer, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = pictures / "out.png"
    assert run("convolve", pictures / "b.png", "-o", out, "--kernel", "sobel-y", "--color", "per-channel") == 0
    assert out.read_bytes() == b"\x89PNG of the fake"
    assert capsys.readouterr().out.splitlines()[-1] == f"written to {out}"
    request = vision_pb2.ConvolveRequest.FromString(server.received[0].request)
    assert (request.omit_values, request.preset) == (True, vision_pb2.KERNEL_PRESET_SOBEL_Y)
    assert not list(pictures.glob("*.part")) + list(pictures.glob(".*.part"))


def test_the_numbers_of_the_response_are_written_as_npy(run: Run, tmp_path: Path) -> None:
    assert run("convolve", "--matrix", "demo", "-o", tmp_path / "r.npy") == 0
    assert np.load(tmp_path / "r.npy").shape == (1, 5, 5)


@pytest.mark.parametrize("text", ["[[1, 0], [0, -1.5]]", "1 0\n0 -1.5\n", "1, 0\n0, -1.5", " [[1,0],\n[0,-1.5]]"])
def test_a_kernel_can_be_text_or_a_file(run: Run, server: FakeServer, tmp_path: Path, text: str) -> None:
    (tmp_path / "k.txt").write_text(text)
    np.save(tmp_path / "k.npy", np.array([[1, 0], [0, -1.5]]))
    assert run("convolve", "--matrix", "demo", "--kernel", "[[1,0],[0,-1.5]]") == 0
    assert run("convolve", "--matrix", "demo", "--kernel-file", tmp_path / "k.txt") == 0
    assert run("convolve", "--matrix", "demo", "--kernel-file", tmp_path / "k.npy") == 0
    for received in server.received:
        kernel = vision_pb2.ConvolveRequest.FromString(received.request).custom_kernel
        assert (kernel.rows, kernel.columns, list(kernel.values)) == (2, 2, [1, 0, 0, -1.5])


@pytest.mark.parametrize("text", ["", "1 2\n3", "a b", "[[1, 2", '[["x"]]', "[1, 2]", "[" * 10_000, "[[null]]x"])
def test_text_that_is_no_matrix_is_refused_with_where_it_was(text: str) -> None:
    with pytest.raises(Exception, match="--kernel is not a matrix") as caught:
        matrix_of_text(text, "--kernel")
    assert type(caught.value).__name__ == "BadUsage"


def test_convolve_as_json_has_the_matrices(run: Run, document: Callable[[], Any]) -> None:
    assert run("convolve", "--matrix", "demo", "--json", "--gradient") == 0
    answer = document()
    assert answer["responses"][0][4] == [21, 22, 23, 24, 25]
    assert len(answer["gradient_directions"]) == 1


def test_convolve_of_a_picture_as_json_has_the_numbers_unless_a_file_has_them(
    run: Run, pictures: Path, document: Callable[[], Any]
) -> None:
    assert run("convolve", pictures / "b.png", "--json") == 0
    answer = document()
    assert (len(answer["responses"][0]), len(answer["responses"][0][0])) == (answer["rows"], answer["columns"])
    assert run("convolve", pictures / "b.png", "--json", "-o", pictures / "out.npy") == 0
    assert "responses" not in document()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--kernel", "sobbel_x"], "did you mean sobel_x?"),
        (["--padding", "full"], "there are valid, same"),
        (["--stride", "0"], "stride is 0"),
        (["--kernel-file", "absent.npy"], r"absent.npy cannot be read: No such file"),
        (["-o", "out.jpg"], "ends neither in .png"),
        (["-o", "absent/out.png"], "no directory"),
    ],
)
def test_bad_arguments_end_with_2_and_what_fits(
    run: Run,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("convolve", "--matrix", "demo", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert server.received == []
    assert list(tmp_path.iterdir()) == []
