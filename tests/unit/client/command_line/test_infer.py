"""convserve infer: names that can be left out, and files that are no arrays."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.fake_server import FakeServer

from .conftest import Run


def test_infer_finds_the_names_of_single_inputs_and_outputs_itself(
    run: Run, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    assert run("infer", "echo", "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), [[0, 1, 2], [3, 4, 5]])
    assert f"logits: float32 [2, 3] -> {tmp_path / 'y.npy'}" in capsys.readouterr().out


def test_infer_by_name_needs_no_metadata(run: Run, server: FakeServer, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(2, np.float32))
    np.save(tmp_path / "b.npy", np.zeros(2, np.int64))
    inputs = ["--input", f"a={tmp_path / 'a.npy'}", "--input", f"b={tmp_path / 'b.npy'}"]
    assert run("infer", "echo", *inputs, "-o", f"a={tmp_path / 'o.npy'}", "--output", "a", "--output", "b") == 0
    assert np.load(tmp_path / "o.npy").tolist() == [1, 1]
    assert server.count("ModelMetadata") == 0


def test_infer_shows_outputs_that_no_file_was_named_for(
    run: Run, document: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", np.array([[1.5, 2.5]], np.float32))
    assert run("infer", "echo", "--input", f"x={tmp_path / 'x.npy'}") == 0
    assert capsys.readouterr().out.splitlines() == ["echo version 2", "  x: float32 [1, 2]", "    [[1.5 2.5]]"]
    assert run("infer", "echo", "--input", f"x={tmp_path / 'x.npy'}", "--json") == 0
    (output,) = document()["outputs"]
    assert output == {"name": "x", "type": "float32", "shape": [1, 2], "values": [[1.5, 2.5]]}


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"PK\x03\x04 a zip", b"\x80\x04K\x01.", pickled(), b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4',"],
    ids=["empty", "text", "npz", "pickle", "objects", "cut short"],
)
def test_a_file_that_is_no_npy_is_named_and_nothing_in_it_is_run(
    run: Run, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    assert run("infer", "echo", "--input", tmp_path / "x.npy") == 2
    assert f"{tmp_path / 'x.npy'} is not a .npy file that can be loaded" in capsys.readouterr().err
    assert server.received == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--input", "x.npy", "--input", "x.npy"], "--input needs NAME=FILE here, for the model has input"),
        (["--input", "a=x.npy", "--input", "a=x.npy"], "--input names 'a' twice"),
        (["--input", "a=x.npy", "--output", "p", "-o", "q=y.npy"], "-o names output 'q', but --output asks only for p"),
        (["--input", "absent.npy"], "absent.npy cannot be read"),
    ],
)
def test_infer_with_names_that_do_not_fit_ends_with_2(
    run: Run,
    server: FakeServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones(1, np.float32))
    assert run("infer", "echo", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert server.count("ModelInfer") == 0
