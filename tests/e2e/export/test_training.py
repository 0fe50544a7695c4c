"""Training: labelled pictures from folders and .npz files, and a run that goes on where it was stopped."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from convserve_export.checkpoint import load_checkpoint
from convserve_export.errors import BadInput
from convserve_export.pictures import Pictures, load_labelled, load_pictures
from convserve_export.training import Recipe, Trainer, main
from PIL import Image

CLASSES = ("dark", "light")


def png(brightness: int, size: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (brightness, brightness, 10)).save(buffer, "PNG")
    return buffer.getvalue()


def write_folder(path: Path) -> Path:
    for name, brightness in (("dark", 20), ("light", 200)):
        (path / name).mkdir(parents=True)
        for i in range(3):
            (path / name / f"{i}.png").write_bytes(png(brightness + i))
    return path


def write_archive(path: Path, *, labels: tuple[int, ...] = (0, 0, 0, 1, 1, 1)) -> Path:
    files = [png(brightness + i) for brightness in (20, 200) for i in range(3)]
    offsets = np.cumsum([0, *(len(f) for f in files)])
    np.savez(
        path, bytes=np.frombuffer(b"".join(files), np.uint8), offsets=offsets, labels=np.array(labels), classes=CLASSES
    )
    return path


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    images = torch.randint(0, 256, (24, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Pictures(images, torch.arange(24) % 2, CLASSES)


def test_a_folder_and_an_archive_of_the_same_pictures_are_the_same(tmp_path: Path) -> None:
    folder, archive = load_labelled(write_folder(tmp_path / "set")), load_labelled(write_archive(tmp_path / "set.npz"))
    assert folder.classes == archive.classes == CLASSES
    assert torch.equal(folder.images, archive.images)
    assert folder.labels.tolist() == archive.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert folder.images.shape == (6, 3, 32, 32)
    assert folder.images[4, :, 0, 0].tolist() == [201, 201, 10]


def test_pictures_of_another_size_are_scaled(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(png(100, size=57))
    assert load_pictures(tmp_path, limit=5).shape == (1, 3, 32, 32)


def test_no_more_pictures_are_read_than_asked_for(tmp_path: Path) -> None:
    assert len(load_pictures(write_folder(tmp_path / "set"), limit=4)) == 4
    assert len(load_pictures(write_archive(tmp_path / "set.npz"), limit=4)) == 4


def test_data_that_do_not_fit_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "none" / "class").mkdir(parents=True)
    broken = write_folder(tmp_path / "broken") / "dark" / "9.png"
    broken.write_bytes(png(1)[:30])
    np.savez(tmp_path / "other.npz", x=np.zeros(1))
    for path, sentence in {
        tmp_path / "none": "holds no labelled pictures",
        tmp_path / "broken": "9.png cannot be read as a picture",
        tmp_path / "other.npz": "nor an .npz file with bytes, offsets, labels, classes",
        tmp_path / "missing": "nor an .npz file",
        write_archive(tmp_path / "range.npz", labels=(0, 0, 0, 1, 1, 2)): "labels from 0 to 2, but names 2 classes",
        write_archive(tmp_path / "count.npz", labels=(0, 0)): "6 pictures and 2 labels",
    }.items():
        with pytest.raises(BadInput, match=sentence):
            load_labelled(path)


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path, pictures: Pictures) -> None:
    recipe = Recipe(epochs=3, batch_size=8, peak_learning_rate=0.01)
    unbroken = Trainer(recipe, pictures)
    losses = [unbroken.run_epoch() for _ in range(3)]

    stopped = Trainer(recipe, pictures, tmp_path / "run.state")
    resumed_losses = [stopped.run_epoch()]
    stopped.save()
    torch.manual_seed(12345)  # whatever happened in between
    resumed = Trainer(recipe, pictures, tmp_path / "run.state")
    assert resumed.epoch == 1
    resumed_losses += [resumed.run_epoch() for _ in range(2)]

    assert resumed_losses == losses
    for one, other in ((unbroken.network, resumed.network), (unbroken.average, resumed.average)):
        expected, got = one.state_dict(), other.state_dict()
        assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_a_state_of_another_recipe_or_no_state_at_all_is_refused(tmp_path: Path, pictures: Pictures) -> None:
    state = tmp_path / "run.state"
    Trainer(Recipe(epochs=3), pictures, state).save()
    with pytest.raises(BadInput, match="written with another recipe"):
        Trainer(Recipe(epochs=4), pictures, state)
    state.write_bytes(b"damaged")
    with pytest.raises(BadInput, match="is no state of such a training run"):
        Trainer(Recipe(epochs=3), pictures, state)


def test_the_command_writes_a_checkpoint_that_the_export_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(write_folder(tmp_path / "set"))
    out = tmp_path / "trained.safetensors"
    command = ["--data", data, "--validation", data, "--out", str(out), "--epochs", "2", "--batch-size", "3"]
    assert main(command) == 0
    assert "epoch   2/2" in capsys.readouterr().out
    checkpoint = load_checkpoint(source=str(out))
    assert checkpoint.labels == CLASSES
    assert checkpoint.network.fc2.out_features == 2


def test_the_command_ends_with_a_sentence_where_there_are_no_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path), "--validation", str(tmp_path), "--out", str(tmp_path / "x.safetensors")]) == 2
    assert "holds no labelled pictures" in capsys.readouterr().err


def test_the_real_pictures_can_be_read_where_they_are() -> None:
    archive = Path(__file__).parents[4] / "shared" / "data" / "cifar10_validation.npz"
    if not archive.exists():
        pytest.skip("the CIFAR-10 archive is not beside this checkout")
    assert load_pictures(archive, limit=8).shape == (8, 3, 32, 32)
    assert load_pictures(archive, limit=8).float().std() > 20
