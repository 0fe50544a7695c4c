"""What goes wrong on the way: sentences that a person can act on, and exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.fake_server import FakeServer

from .conftest import Run


def test_a_server_that_is_not_there_is_named_with_how_to_start_one(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("models", "--server", "127.0.0.1:1") == 1
    error = capsys.readouterr().err
    assert "no server answers at 127.0.0.1:1 (Connection refused)" in error
    assert "convserve-server --repository artifacts --listen 127.0.0.1:1" in error


def test_errors_are_json_too_where_json_was_asked_for(run: Run, document: Callable[[], Any]) -> None:
    assert run("models", "--server", "127.0.0.1:1", "--json") == 1
    assert document()["error"]["code"] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, "allow more with --timeout"),
        (grpc.StatusCode.INTERNAL, "the sentence (INTERNAL from "),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "the sentence (RESOURCE_EXHAUSTED from "),
    ],
)
def test_a_failed_call_ends_with_1_and_the_servers_sentence(
    run: Run, server: FakeServer, capsys: pytest.CaptureFixture[str], code: grpc.StatusCode, sentence: str
) -> None:
    server.fail_next(code, "the sentence")
    assert run("convolve", "--matrix", "demo") == 1
    assert sentence in capsys.readouterr().err


def test_a_message_over_the_limit_names_the_option(
    run: Run, server: FakeServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
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
def test_bad_usage_ends_with_2_in_a_line(run: Run, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("convserve")
    assert captured.err.count("\n") == 1


def test_help_ends_with_0(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "exit codes: 0 done" in capsys.readouterr().out


def test_a_token_comes_from_a_file_or_the_environment(
    run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert run("health", "--token-file", tmp_path / "token") == 0
    monkeypatch.setenv("CONVSERVE_TOKEN", "from-environment")
    assert run("health") == 0
    assert [received.metadata["authorization"] for received in server.received] == [
        "Bearer from-file",
        "Bearer from-environment",
    ]


def test_a_token_file_that_cannot_be_read_is_named_with_the_reason(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, reason in (("absent", "No such file or directory"), ("binary", "it is no text")):
        assert run("models", "--token-file", tmp_path / name) == 2
        assert f"--token-file {tmp_path / name} cannot be read: {reason}; give" in capsys.readouterr().err


def test_an_interrupt_ends_with_130_without_a_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("convserve_client.commands.models.run", interrupted)
    assert run("models") == 130
    assert capsys.readouterr().err == ""
