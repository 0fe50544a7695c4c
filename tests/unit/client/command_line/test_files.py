"""Files that the command writes are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from convserve_client.commands.output import write_file
from support.fake_server import FakeServer

from .conftest import Run


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
    run: Run, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert run("convolve", "--matrix", "demo", "-o", tmp_path / "out.npy") == 2
    assert "permission denied" in capsys.readouterr().err
    assert server.received == []


def test_an_output_that_is_a_directory_is_refused_before_the_call(
    run: Run, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.png").mkdir()
    assert run("convolve", "--matrix", "demo", "-o", tmp_path / "out.png") == 2
    assert "is a directory" in capsys.readouterr().err
    assert server.received == []
