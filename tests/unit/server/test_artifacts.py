"""An artifact is served only when it is what its manifest says; else a sentence says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from convserve_server.artifacts import read_artifact
from convserve_server.errors import InvalidRequest, ModelBroken, ModelNotFound, ModelNotReady
from support.artifacts import write_sum
from support.repositories import loaded, new_repository


def change_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return damage


def pixels(**changed: Any) -> dict[str, Any]:
    plain = {"height": 2, "width": 2, "colorOrder": "RGB", "layout": "NCHW"}
    return {**plain, "scale": 255, "mean": [0, 0, 0], "std": [1, 1, 1], **changed}


def flip_a_bit(folder: Path) -> None:
    path = folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (flip_a_bit, "model.onnx was changed after its export: its SHA-256 is"),
    (truncate, "bytes, but its manifest says"),
    (lambda f: (f / "model.onnx").unlink(), "model.onnx is missing"),
    (lambda f: (f / "manifest.json").unlink(), "it has no manifest.json"),
    (lambda f: (f / "manifest.json").write_text(""), "no valid manifest"),
    (lambda f: (f / "manifest.json").write_text("[" * 100_000), "no valid manifest"),
    (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"), "cannot be read"),
    (change_manifest(lambda m: m.update(format=2)), "format 2, and this server reads format 1"),
    (change_manifest(lambda m: m.update(surprise=1)), "no valid manifest"),
    (change_manifest(lambda m: m["files"].clear()), "does not list model.onnx"),
    (change_manifest(lambda m: m["files"].append({"name": "../../x"})), "not inside of its folder"),
    (change_manifest(lambda m: m["files"].append({"name": "/etc/hostname"})), "not inside of its folder"),
    (change_manifest(lambda m: m["files"].append({"name": "a\0b"})), "not inside of its folder"),
    (change_manifest(lambda m: m.update(format="\ud800" * 5000)), "no valid manifest"),
    (change_manifest(lambda m: m.update(preprocessing=pixels(scale=1e-38))), "no factors for a pixel"),
    (change_manifest(lambda m: m.update(preprocessing=pixels(mean=["NaN", 0, 0]))), "no factors for a pixel"),
    (change_manifest(lambda m: m.update(preprocessing=pixels(std=[1, 1e-40, 1]))), "no factors for a pixel"),
    (change_manifest(lambda m: m.update(version=3)), "says sum/3, but it lies in sum/1"),
    (change_manifest(lambda m: m.update(name="other")), "says other/1, but it lies in sum/1"),
    (change_manifest(lambda m: m["inputs"][0].update(datatype="FP99")), "unknown datatype 'FP99'"),
    (change_manifest(lambda m: m["inputs"][0].update(datatype="INT64")), "the model says FP32"),
    (change_manifest(lambda m: m["inputs"][0].update(shape=[-1, 3])), "the model says FP32 [-1, 2]"),
    (change_manifest(lambda m: m["inputs"].pop()), "the manifest names the inputs ['a'], the model has ['a', 'b']"),
    (change_manifest(lambda m: m.update(task="TASK_IMAGE_CLASSIFICATION")), "has no preprocessing"),
]


@pytest.mark.parametrize(("damage", "sentence"), DAMAGES, ids=[f"{n} {s}" for n, (_, s) in enumerate(DAMAGES)])
def test_a_damaged_artifact_is_refused_with_a_sentence_and_the_others_are_served(
    tmp_path: Path, damage: Callable[[Path], object], sentence: str
) -> None:
    damage(write_sum(tmp_path))
    write_sum(tmp_path, name="good")
    repository = loaded(tmp_path)
    assert repository.names() == ["good"]
    (refusal,) = repository.refusals
    assert sentence in refusal.reason
    assert refusal.path == tmp_path / "sum" / "1"


def test_an_onnx_file_that_is_none_is_refused_even_when_its_hash_holds(tmp_path: Path) -> None:
    from support.artifacts import FLOAT, write_artifact

    write_artifact(tmp_path, "junk", b"not a model", {"a": (FLOAT, ["N"])}, {"b": (FLOAT, ["N"])})
    (refusal,) = loaded(tmp_path).refusals
    assert "ONNX Runtime does not load it" in refusal.reason


def test_the_newest_good_version_is_served(tmp_path: Path) -> None:
    for version in (1, 2, 10):
        write_sum(tmp_path, version=version)
    assert loaded(tmp_path).versions("sum") == [10]
    flip_a_bit(tmp_path / "sum" / "10")
    repository = loaded(tmp_path)
    assert repository.versions("sum") == [2]
    assert repository.find("sum").description.version == 2


def test_other_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    write_sum(tmp_path)
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / ".partial").mkdir()
    (tmp_path / "sum" / "notes").mkdir()
    (tmp_path / "sum" / "config.pbtxt").write_text("")
    repository = loaded(tmp_path)
    assert (repository.names(), repository.refusals) == (["sum"], [])


def test_a_model_is_found_by_name_and_version(tmp_path: Path) -> None:
    write_sum(tmp_path, version=4)
    repository = loaded(tmp_path)
    assert repository.find("sum") is repository.find("sum", "4")
    with pytest.raises(ModelNotFound, match="'nope' is not found; served are: sum"):
        repository.find("nope")
    with pytest.raises(ModelNotFound, match="'sum' version 9 is not found; served are: 4"):
        repository.find("sum", "9")
    for version in ("x", "-1", "0", "1.5", "²", "9" * 5000):
        with pytest.raises(InvalidRequest, match="not a whole number above 0"):
            repository.find("sum", version)


def test_before_models_are_loaded_they_are_not_ready_rather_than_unknown(tmp_path: Path) -> None:
    repository = new_repository(tmp_path)
    with pytest.raises(ModelNotReady, match="still loading"):
        repository.find("sum")


def test_reading_gives_what_the_manifest_says(tmp_path: Path) -> None:
    artifact = read_artifact(write_sum(tmp_path))
    assert artifact.description is not None
    assert artifact.description.batched
    assert [i.name for i in artifact.description.inputs] == ["a", "b"]
    with pytest.raises(ModelBroken):
        read_artifact(tmp_path)


def test_an_artifact_whose_manifest_nothing_vouches_for_is_served_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_sum(tmp_path)
    assert loaded(tmp_path).names() == ["sum"]
    assert "has no manifest.sha256, so its manifest is taken at its word" in caplog.text


def test_what_is_quoted_from_a_manifest_can_be_logged_and_sent(tmp_path: Path) -> None:
    change_manifest(lambda m: m.update(format="\ud800" * 5000))(write_sum(tmp_path))
    (refusal,) = loaded(tmp_path).refusals
    assert len(refusal.reason.encode()) < 1200
