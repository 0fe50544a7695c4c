"""The convserve command against a fake server: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_client.cli import main
from convserve_client.commands.arrays import matrix_of_text
from convserve_client.commands.output import Progress, bar, plain, table, write_file
from convserve_proto import vision_pb2
from support.fake_server import FakeServer

from .conftest import AT_ONCE

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _environment(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands call the fake server and keep out of the tests' own environment."""
    monkeypatch.setenv("CONVSERVE_SERVER", server.target)
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    monkeypatch.delenv("CONVSERVE_TOKEN", raising=False)
    monkeypatch.setattr("convserve_client.link.RetryPolicy", lambda: AT_ONCE)


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def document(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with two pictures, something else, a hidden one, and one more in a folder below."""
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "sub/c.webp"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


# health and models


def test_health_is_0_where_the_server_is_ready(server: FakeServer, capsys: Captured) -> None:
    assert run("health") == 0
    assert capsys.readouterr().out == f"{server.target} is ready\n"
    assert run("health", "--model", "simple_cnn") == 0


def test_health_is_1_where_it_is_not(server: FakeServer, capsys: Captured) -> None:
    assert run("health", "--model", "resting") == 1
    assert run("health", "--model", "nope") == 1
    assert "there is no model 'nope'" in capsys.readouterr().err
    server.fail_next(grpc.StatusCode.UNAVAILABLE, "stopping")
    assert run("health") == 1
    assert server.count("ServerReady") == 1, "whoever watches wants to hear of the first failure"


def test_health_as_json(server: FakeServer, capsys: Captured) -> None:
    assert run("health", "--json", "--model", "nope") == 1
    assert document(capsys) == {
        "server": server.target,
        "model": "nope",
        "ready": False,
        "code": "NOT_FOUND",
        "reason": f"there is no model 'nope' (NOT_FOUND from {server.target})",
    }


def test_models_are_a_table(capsys: Captured) -> None:
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["MODEL", "VERSIONS", "PROVIDER", "INPUTS", "OUTPUTS"]
    assert lines[2] == "resting     not ready"
    assert lines[3].startswith("simple_cnn  1, 2       CPUExecutionProvider  input FP32 [-1, 3, 32, 32]")


def test_models_as_json(capsys: Captured) -> None:
    assert run("models", "--json") == 0
    models = document(capsys)["models"]
    assert [model["name"] for model in models] == ["convolve", "resting", "simple_cnn"]
    assert models[2]["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]


# classify


def test_classify_prints_classes_with_bars_under_each_name(pictures: Path, capsys: Captured) -> None:
    assert run("classify", pictures / "b.png", "--top-k", "2") == 0
    assert capsys.readouterr().out.splitlines() == [
        str(pictures / "b.png"),
        "  size 5   50.0%  ███████████████",
        "  size 5   25.0%  ███████▌",
    ]


def test_classify_takes_a_folder_and_its_folders_without_hidden_and_other_files(
    pictures: Path, capsys: Captured
) -> None:
    assert run("classify", pictures, "--json") == 0
    names = [Path(image["name"]).name for image in document(capsys)["images"]]
    assert names == ["a.JPG", "b.png", "c.webp"]


def test_a_picture_that_cannot_be_read_fails_alone_and_the_exit_code_is_1(pictures: Path, capsys: Captured) -> None:
    (pictures / "a.JPG").write_bytes(b"bad")
    assert run("classify", pictures) == 1
    captured = capsys.readouterr()
    assert captured.err == f"{pictures / 'a.JPG'}: the image cannot be decoded (INVALID_ARGUMENT)\n"
    assert captured.out.splitlines()[-1] == "2 of 3 images classified by simple_cnn version 1, 1 failed"


def test_a_file_that_is_not_there_is_bad_usage_and_nothing_is_sent(
    server: FakeServer, pictures: Path, capsys: Captured
) -> None:
    assert run("classify", pictures / "b.png", pictures / "absent.png") == 2
    assert f"no file or directory {pictures / 'absent.png'}" in capsys.readouterr().err
    assert server.received == []


def test_a_folder_without_pictures_is_bad_usage(tmp_path: Path, capsys: Captured) -> None:
    assert run("classify", tmp_path) == 2
    assert f"no pictures in {tmp_path}" in capsys.readouterr().err


def test_bars_are_blocks_where_the_output_has_them_and_hashes_elsewhere() -> None:
    assert bar(0.5, 4, "utf-8") == "██"
    assert bar(0.53125, 4, "utf-8") == "██▏"
    assert bar(0.5, 4, "ascii") == bar(0.5, 4, None) == "##"
    assert bar(2.0, 4, "utf-8") == "████"
    assert bar(-1.0, 4, "utf-8") == ""


def test_names_cannot_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    assert plain("Käfer") == "Käfer"


def test_columns_are_aligned() -> None:
    assert table([("A", "B"), ("long", "x")]) == "A     B\nlong  x"


def test_progress_is_silent_for_few_images_and_says_each_tenth_of_many(capsys: Captured) -> None:
    few, many = Progress(5, "images"), Progress(1000, "images")
    for done in range(1, 6):
        few(done)
    for done in range(32, 1001, 32):
        many(done)
    many(1000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1] == "1,000 of 1,000 images"


# convolve


def test_the_demo_matrix_is_printed_with_its_response(capsys: Captured) -> None:
    assert run("convolve", "--matrix", "demo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "image (5 x 5)"
    assert lines[5] == "  21  22  23  24  25"
    assert "response (5 x 5)" in lines
    assert lines[-1].startswith("cross-correlation, padding valid, stride 1: 5 x 5 positions in ")


def test_a_picture_of_the_response_is_written_whole(server: FakeServer, pictures: Path, capsys: Captured) -> None:
    out = pictures / "out.png"
    assert run("convolve", pictures / "b.png", "-o", out, "--kernel", "sobel-y", "--color", "per-channel") == 0
    assert out.read_bytes() == b"\x89PNG of the fake"
    assert capsys.readouterr().out.splitlines()[-1] == f"written to {out}"
    request = vision_pb2.ConvolveRequest.FromString(server.received[0].request)
    assert (request.omit_values, request.preset) == (True, vision_pb2.KERNEL_PRESET_SOBEL_Y)
    assert not list(pictures.glob("*.part")) + list(pictures.glob(".*.part"))


def test_the_numbers_of_the_response_are_written_as_npy(tmp_path: Path) -> None:
    assert run("convolve", "--matrix", "demo", "-o", tmp_path / "r.npy") == 0
    assert np.load(tmp_path / "r.npy").shape == (1, 5, 5)


@pytest.mark.parametrize("text", ["[[1, 0], [0, -1.5]]", "1 0\n0 -1.5\n", "1, 0\n0, -1.5", " [[1,0],\n[0,-1.5]]"])
def test_a_kernel_can_be_text_or_a_file(server: FakeServer, tmp_path: Path, text: str) -> None:
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


def test_convolve_as_json_has_the_matrices(capsys: Captured) -> None:
    assert run("convolve", "--matrix", "demo", "--json", "--gradient") == 0
    answer = document(capsys)
    assert answer["responses"][0][4] == [21, 22, 23, 24, 25]
    assert len(answer["gradient_directions"]) == 1


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
    server: FakeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str],
    sentence: str
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run("convolve", "--matrix", "demo", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert server.received == []
    assert list(tmp_path.iterdir()) == []


# infer


def test_infer_finds_the_names_of_single_inputs_and_outputs_itself(
    server: FakeServer, tmp_path: Path, capsys: Captured
) -> None:
    np.save(tmp_path / "x.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    assert run("infer", "echo", "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npy") == 0
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), [[0, 1, 2], [3, 4, 5]])
    assert f"logits: float32 [2, 3] -> {tmp_path / 'y.npy'}" in capsys.readouterr().out


def test_infer_by_name_needs_no_metadata(server: FakeServer, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(2, np.float32))
    np.save(tmp_path / "b.npy", np.zeros(2, np.int64))
    inputs = ["--input", f"a={tmp_path / 'a.npy'}", "--input", f"b={tmp_path / 'b.npy'}"]
    assert run("infer", "echo", *inputs, "-o", f"a={tmp_path / 'o.npy'}", "--output", "a", "--output", "b") == 0
    assert np.load(tmp_path / "o.npy").tolist() == [1, 1]
    assert server.count("ModelMetadata") == 0


def test_infer_shows_outputs_that_no_file_was_named_for(tmp_path: Path, capsys: Captured) -> None:
    np.save(tmp_path / "x.npy", np.array([[1.5, 2.5]], np.float32))
    assert run("infer", "echo", "--input", f"x={tmp_path / 'x.npy'}") == 0
    assert capsys.readouterr().out.splitlines() == ["echo version 2", "  x: float32 [1, 2]", "    [[1.5 2.5]]"]
    assert run("infer", "echo", "--input", f"x={tmp_path / 'x.npy'}", "--json") == 0
    (output,) = document(capsys)["outputs"]
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
    server: FakeServer, tmp_path: Path, capsys: Captured, content: bytes
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
    server: FakeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str],
    sentence: str
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones(1, np.float32))
    assert run("infer", "echo", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert server.count("ModelInfer") == 0


# the way there


def test_a_server_that_is_not_there_is_named_with_how_to_start_one(capsys: Captured) -> None:
    assert run("models", "--server", "127.0.0.1:1") == 1
    error = capsys.readouterr().err
    assert "no server answers at 127.0.0.1:1 (Connection refused)" in error
    assert "convserve-server --repository artifacts --listen 127.0.0.1:1" in error


def test_errors_are_json_too_where_json_was_asked_for(capsys: Captured) -> None:
    assert run("models", "--server", "127.0.0.1:1", "--json") == 1
    assert document(capsys)["error"]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, "allow more with --timeout"),
        (grpc.StatusCode.INTERNAL, "the sentence (INTERNAL from "),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "the sentence (RESOURCE_EXHAUSTED from "),
    ],
)
def test_a_failed_call_ends_with_1_and_the_servers_sentence(
    server: FakeServer, capsys: Captured, code: grpc.StatusCode, sentence: str
) -> None:
    server.fail_next(code, "the sentence")
    assert run("convolve", "--matrix", "demo") == 1
    assert sentence in capsys.readouterr().err


def test_a_message_over_the_limit_names_the_option(server: FakeServer, capsys: Captured, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(2**19, np.float32))
    assert run("infer", "echo", "--input", f"x={tmp_path / 'x.npy'}", "--max-message-mib", "1") == 2
    assert "at most 1,048,576" in capsys.readouterr().err
    server.fail_next(grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER: Received message larger than max (9 vs. 8)")
    assert run("convolve", "--matrix", "demo") == 1
    assert "--max-message-mib" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["models", "--timeout", "soon"], ["convolve"], ["models", "--server", "here"],
                  ["models", "--timeout", "-1"], ["models", "--token-file", "/absent"],
                  ["models", "--ca-file", "/absent"],
                  ["models", "--cert-file", "/absent"]]
)  # fmt: skip
def test_bad_usage_ends_with_2_in_a_line(arguments: list[str], capsys: Captured) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("convserve")
    assert captured.err.count("\n") == 1


def test_help_ends_with_0(capsys: Captured) -> None:
    assert run("--help") == 0
    assert "exit codes: 0 done" in capsys.readouterr().out


def test_a_token_comes_from_a_file_or_the_environment(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert run("health", "--token-file", tmp_path / "token") == 0
    monkeypatch.setenv("CONVSERVE_TOKEN", "from-environment")
    assert run("health") == 0
    assert [received.metadata["authorization"] for received in server.received] == [
        "Bearer from-file",
        "Bearer from-environment",
    ]


def test_an_interrupt_ends_with_130_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("convserve_client.commands.models.run", interrupted)
    assert run("models") == 130
    assert capsys.readouterr().err == ""


# files


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"old")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"out\.png cannot be written: No space left on device"):
            write_file(out, b"new")
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]
    write_file(out, b"new")
    assert out.read_bytes() == b"new"


def test_a_link_is_followed_and_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "out")
    write_file(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "out").read_bytes() == b"data"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_file(tmp_path / "pipe", b"data")
    assert os.read(reader, 10) == b"data"
    os.close(reader)


def test_an_output_that_may_not_be_written_is_refused_before_the_call(
    server: FakeServer, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert run("convolve", "--matrix", "demo", "-o", tmp_path / "out.npy") == 2
    assert "permission denied" in capsys.readouterr().err
    assert server.received == []


def test_an_output_that_is_a_directory_is_refused_before_the_call(
    server: FakeServer, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "out.png").mkdir()
    assert run("convolve", "--matrix", "demo", "-o", tmp_path / "out.png") == 2
    assert "is a directory" in capsys.readouterr().err
    assert server.received == []
