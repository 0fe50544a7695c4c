"""The command line: what it prints, its exit codes, and one line for everything that can be wrong with its input."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import safetensors.torch
import torch
from convserve_export import checkpoint, cli
from convserve_export.checkpoint import random_network
from convserve_export.cli import main
from convserve_export.errors import BadInput
from PIL import Image

from .conftest import Exported


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run with bad input; returns the one line on stderr."""
    assert main([str(a) for a in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("convserve-export: ")
    return printed.err


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(random_network(10, seed=9).state_dict(), path)
    return path


def test_people_see_the_architecture_the_parameters_each_check_and_what_was_published(
    tmp_path: Path, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--checkpoint", "random", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for line in (
        "(conv1): Conv2d(3, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        "fc1         Linear         1,049,088",
        "total                      1,147,466",
        "trainable                  1,147,466",
        "test forward pass: input [4, 3, 32, 32] -> logits [4, 10]",
        "ok    parameters                    1,147,466 by formula, eager, torchscript, torch.export, onnx",
        "ok    dropout inert",
        f"published: simple_cnn version 1 in {tmp_path / 'simple_cnn' / '1'}",
        f"published: convolve version 1 in {tmp_path / 'convolve' / '1'}",
    ):
        assert line in printed.out
    assert "largest difference" in printed.out


def test_scripts_get_one_json_object(exported: Exported) -> None:
    report = exported.report
    assert report["exit_code"] == 0
    assert report["failures"] == []
    assert [m["manifest"]["name"] for m in report["models"]] == ["simple_cnn", "convolve"]
    assert [m["path"] for m in report["models"]] == [str(exported.classifier), str(exported.convolution)]
    assert report["models"][0]["manifest"] == exported.manifest(exported.classifier)
    check = {"model": "simple_cnn", "name": "expected parameters", "passed": True, "required": True}
    assert check | {"detail": "1,147,466"} in report["checks"]


def test_the_json_object_is_there_for_failures_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--checkpoint", "nowhere.pt", "--out", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert (report["exit_code"], report["models"]) == (2, [])
    assert report["failures"] == ["there is no checkpoint nowhere.pt"]
    assert printed.err == "convserve-export: there is no checkpoint nowhere.pt\n"


def test_a_second_export_is_the_next_version_and_adds_no_second_copy_of_the_demo(
    copied: Exported, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--checkpoint", "random", "--out", str(copied.out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(m["manifest"]["version"] if m["published"] else None) for m in report["models"]] == [2, None]
    assert sorted(p.name for p in (copied.out / "simple_cnn").iterdir()) == ["1", "2"]
    assert sorted(p.name for p in (copied.out / "convolve").iterdir()) == ["1"]
    assert quick() == 1


def test_a_damaged_copy_of_the_demo_is_followed_by_a_good_one(copied: Exported, quick: Callable[[], int]) -> None:
    (copied.convolution / "model.pt").write_bytes(b"")
    assert main(["--checkpoint", "random", "--out", str(copied.out)]) == 0
    assert sorted(p.name for p in (copied.out / "convolve").iterdir()) == ["1", "2"]


def test_skip_if_present_does_nothing_where_the_newest_version_is_the_same(
    copied: Exported, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--checkpoint", "random", "--out", str(copied.out), "--skip-if-present"]
    assert main(command) == 0
    assert "there already: simple_cnn version 1" in capsys.readouterr().out
    assert quick() == 0
    assert main([*command, "--seed", "1"]) == 0
    assert "published: simple_cnn version 2" in capsys.readouterr().out
    assert main(command) == 0
    assert "published: simple_cnn version 3" in capsys.readouterr().out, "seed 0 is there, but is not the newest"


def test_skip_if_present_looks_at_the_version_that_is_asked_for(
    copied: Exported, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--checkpoint", "random", "--out", str(copied.out), "--skip-if-present", "--model-version", "1"]
    assert main(command) == 0
    assert "there already: simple_cnn version 1" in capsys.readouterr().out
    assert "is never overwritten" in error_of(capsys, *command, "--seed", "1")
    assert quick() == 0


def test_skip_if_present_exports_again_where_the_newest_version_was_tampered_with(
    copied: Exported, quick: Callable[[], int]
) -> None:
    (copied.classifier / "labels.txt").write_text("tampered\n")
    assert main(["--checkpoint", "random", "--out", str(copied.out), "--skip-if-present"]) == 0
    assert (copied.out / "simple_cnn" / "2").is_dir()


def test_the_demo_may_be_left_out(tmp_path: Path, quick: Callable[[], int]) -> None:
    assert main(["--checkpoint", "random", "--out", str(tmp_path), "--no-convolve"]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["simple_cnn"]


def test_name_and_version_may_be_chosen(tmp_path: Path, quick: Callable[[], int]) -> None:
    command = ["--checkpoint", "random", "--out", str(tmp_path), "--no-convolve", "--model-name", "other"]
    assert main([*command, "--model-version", "7"]) == 0
    manifest = json.loads((tmp_path / "other" / "7" / "manifest.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("other", 7)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_weights_come_from_a_file_with_the_labels_beside_it(
    tmp_path: Path, weights: Path, kind: str, quick: Callable[[], int]
) -> None:
    (tmp_path / "weights.labels.txt").write_text("".join(f"kind {i}\n" for i in range(10)))
    if kind == "pt":
        torch.save(random_network(10, seed=9).state_dict(), tmp_path / "weights.pt")
    out = tmp_path / "out"
    assert main(["--checkpoint", str(weights.with_suffix(f".{kind}")), "--out", str(out), "--no-convolve"]) == 0
    assert (out / "simple_cnn" / "1" / "labels.txt").read_text().splitlines()[0] == "kind 0"


def test_pictures_to_verify_on_come_from_a_folder(tmp_path: Path, quick: Callable[[], int]) -> None:
    (tmp_path / "pictures" / "deep").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "pictures" / "deep" / "noise.jpg")
    (tmp_path / "pictures" / "notes.txt").write_text("not a picture")
    command = ["--checkpoint", "random", "--out", str(tmp_path / "out"), "--no-convolve"]
    assert main([*command, "--pictures", str(tmp_path / "pictures")]) == 0


def test_the_demo_keeps_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = error_of(capsys, "--checkpoint", "random", "--out", tmp_path, "--model-name", "convolve")
    assert "--model-name convolve is the name of the demo" in error


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model-version", "0"], "'0' is not a whole number from 1 to 2147483647"),
        (["--num-classes", "ten"], "'ten' is not a whole number from 1 to 100000"),
        (["--num-classes", "7", "--checkpoint", "random", "--labels", "LABELS"], "10 labels"),
        (["--model-name", "../up"], "'../up' cannot name a model"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--checkpoint"], "expected one argument"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("x\n" * 10)
    given = [str(labels) if a == "LABELS" else a for a in arguments]
    assert sentence in error_of(capsys, "--out", tmp_path / "out", *given)


def bomb(path: Path) -> object:
    """Pickles as a call that makes a folder."""

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(path),)

    return Bomb()


def test_a_checkpoint_with_pickled_code_is_refused_and_the_code_never_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fired = tmp_path / "fired"
    torch.save({"conv1.weight": bomb(fired)}, tmp_path / "bomb.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"conv1.weight": bomb(fired)}))
    for name in ("bomb.pt", "plain.pt"):
        error = error_of(capsys, "--checkpoint", tmp_path / name, "--out", tmp_path / "out")
        assert name in error
        assert not fired.exists()
    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert fired.exists(), "the bomb was live"


def test_checkpoints_that_are_no_checkpoints(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "corrupt.safetensors").write_bytes(weights.read_bytes()[:-1000])
    (tmp_path / "corrupt.pt").write_bytes(os.urandom(1000))
    (tmp_path / "weights.h5").write_bytes(b"x")
    torch.save({"fc.weight": torch.ones(2, 2)}, tmp_path / "other.pt")
    for name, sentence in {
        "missing.pt": "there is no checkpoint",
        ".": "is not a file",
        "empty.safetensors": "is empty",
        "corrupt.safetensors": "is damaged",
        "corrupt.pt": "corrupt.pt",
        "weights.h5": "ends in '.h5'; expected .safetensors, .pt or .pth",
        "other.pt": "is not one of SimpleCNN: missing: conv1.weight, conv1.bias, ",
    }.items():
        assert sentence in error_of(capsys, "--checkpoint", tmp_path / name, "--out", tmp_path / "out")
    assert list((tmp_path / "out").rglob("*")) == []


def test_labels_that_do_not_fit(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nine.txt").write_text("label\n" * 9)
    (tmp_path / "blank.txt").write_text("a\n\nb\n")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name, sentence in {
        "nine.txt": "9 labels",
        "blank.txt": "line 2 of the labels",
        "empty.txt": "are empty",
        "binary.txt": "are not UTF-8 text",
        "missing.txt": "cannot be read: No such file",
    }.items():
        command = ("--checkpoint", weights, "--labels", tmp_path / name, "--out", tmp_path / "out")
        assert sentence in error_of(capsys, *command)


def test_another_number_of_classes_than_asked_for(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_of(capsys, "--checkpoint", weights, "--num-classes", "100", "--out", tmp_path / "out")
    assert "--num-classes is 100" in error
    assert "has 10 classes" in error


def test_pictures_that_are_no_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "bad.npz").write_bytes(b"PK")
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    for name, sentence in {
        "none": "holds no pictures",
        "bad": "broken.png cannot be read as a picture",
        "bad.npz": "is neither a folder of pictures nor an .npz file",
        "other.npz": "is neither a folder of pictures nor an .npz file",
        "missing": "is neither a folder of pictures nor an .npz file",
    }.items():
        command = ("--checkpoint", "random", "--pictures", tmp_path / name, "--out", tmp_path / "out")
        assert sentence in error_of(capsys, *command)


def test_a_taken_version_is_refused_before_any_work(
    copied: Exported, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--checkpoint", "random", "--out", copied.out, "--model-version", "1")
    assert "is there already and is never overwritten" in error_of(capsys, *command)
    assert quick() == 0


def test_an_output_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, quick: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert "cannot be used for artifacts" in error_of(capsys, "--checkpoint", "random", "--out", tmp_path / "file")
    assert quick() == 0


def test_a_disk_that_fills_up_ends_in_a_sentence_and_publishes_nothing(
    tmp_path: Path, quick: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = os.fsync, iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == 3:  # a probe, labels.txt, model.onnx, and now model.pt
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    error = error_of(capsys, "--checkpoint", "random", "--out", tmp_path)
    assert "cannot be written: No space left on device" in error
    assert list(tmp_path.rglob("*")) == []


def test_an_interrupted_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from convserve_export import exporting

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "to_onnx", interrupt)
    assert main(["--checkpoint", "random", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "convserve-export: interrupted\n"
    assert list(tmp_path.rglob("*")) == []


def test_an_installation_without_the_shipped_checkpoint_says_what_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoint, "SHIPPED_FOLDER", tmp_path)
    assert "no shipped checkpoint; give one by --checkpoint FILE" in error_of(capsys, "--out", tmp_path / "out")


def test_an_installation_that_cannot_export_is_told_before_torch_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check() -> NoReturn:
        raise BadInput("the export needs torch")

    monkeypatch.setattr(cli, "check_installation", check)
    assert "the export needs torch" in error_of(capsys, "--out", tmp_path)


def test_the_module_runs_as_a_command_and_a_kill_while_it_verifies_leaves_nothing_visible(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convserve_export", "--checkpoint", "random", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "simple_cnn: verifying ...\n":
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == []
    (leftover,) = tmp_path.iterdir()
    assert {p.name for p in leftover.iterdir()} == {"labels.txt", "model.onnx", "model.pt", "model.pt2"}
