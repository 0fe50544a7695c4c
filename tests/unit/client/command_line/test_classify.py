"""convserve classify: files and folders, bars, and pictures that fail alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from convserve_client.commands.output import Progress, bar, plain, table
from support.fake_server import FakeServer

from .conftest import Run


def test_classify_prints_classes_with_bars_under_each_name(
    run: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", pictures / "b.png", "--top-k", "2") == 0
    assert capsys.readouterr().out.splitlines() == [
        str(pictures / "b.png"),
        "  size 5   50.0%  ███████████████",
        "  size 5   25.0%  ███████▌",
    ]


def test_classify_takes_a_folder_and_its_folders_without_hidden_and_other_files(
    run: Run, document: Callable[[], Any], pictures: Path
) -> None:
    assert run("classify", pictures, "--json") == 0
    names = [Path(image["name"]).name for image in document()["images"]]
    assert names == ["a.JPG", "b.png", "c.webp"]


def test_a_picture_that_cannot_be_read_fails_alone_and_the_exit_code_is_1(
    run: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "a.JPG").write_bytes(b"bad")
    assert run("classify", pictures) == 1
    captured = capsys.readouterr()
    assert captured.err == f"{pictures / 'a.JPG'}: the image cannot be decoded (INVALID_ARGUMENT)\n"
    assert captured.out.splitlines()[-1] == "2 of 3 images classified by simple_cnn version 1, 1 failed"


def test_a_file_that_is_not_there_is_bad_usage_and_nothing_is_sent(
    run: Run, server: FakeServer, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("classify", pictures / "b.png", pictures / "absent.png") == 2
    assert f"no file or directory {pictures / 'absent.png'}" in capsys.readouterr().err
    assert server.received == []


def test_a_folder_without_pictures_is_bad_usage(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_progress_is_silent_for_few_images_and_says_each_tenth_of_many(capsys: pytest.CaptureFixture[str]) -> None:
    few, many = Progress(5, "images"), Progress(1000, "images")
    for done in range(1, 6):
        few(done)
    for done in range(32, 1001, 32):
        many(done)
    many(1000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1] == "1,000 of 1,000 images"
