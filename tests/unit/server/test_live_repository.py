"""What is served follows the repository: versions by policy, changes beside what serves, refusals that say why."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from convserve_server.engine.repository import Repository
from convserve_server.errors import InvalidRequest, LoadFailed, ModelNotFound, ModelNotReady, NotAllowed
from support.artifacts import write_sum
from support.repositories import loaded, new_repository


def configure(model: Path, **config: Any) -> None:
    (model / "config.json").write_text(json.dumps(config))


def spoil(version: Path) -> None:
    path = version / "model.onnx"
    path.write_bytes(path.read_bytes() + b"x")


def index(repository: Repository) -> dict[tuple[str, int | None], tuple[str, str]]:
    return {(s.name, s.version): (s.state.value, s.reason) for s in repository.index()}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with the versions 1, 2 and 10 of sum."""
    for version in (1, 2, 10):
        write_sum(tmp_path, version=version)
    return tmp_path


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ({"latest": {"num_versions": 2}}, [2, 10]),
        ({"latest": {"numVersions": 9}}, [1, 2, 10]),
        ({"latest": {}}, [10]),
        ({"all": {}}, [1, 2, 10]),
        ({"specific": {"versions": [1, 2]}}, [1, 2]),
    ],
)
def test_the_version_policy_says_which_versions_are_served_and_the_newest_is_the_default(
    models: Path, policy: dict[str, Any], served: list[int]
) -> None:
    configure(models / "sum", version_policy=policy)
    repository = loaded(models)
    assert repository.versions("sum") == served
    assert repository.find("sum").description.version == served[-1]
    for version in served:
        assert repository.find("sum", str(version)).description.version == version


def test_a_new_version_takes_over_and_the_old_one_goes_when_nobody_holds_it(models: Path) -> None:
    repository = loaded(models)
    held: Any = repository.find("sum")
    write_sum(models, version=11)
    repository.refresh()
    assert repository.versions("sum") == [11]
    assert index(repository)["sum", 10] == ("UNLOADING", "")
    with pytest.raises(ModelNotReady):
        repository.find("sum", "10")
    assert held.lead() is False, "whoever has found a version can still use it"
    del held
    gc.collect()
    assert index(repository)["sum", 10] == ("UNAVAILABLE", "unloaded")
    with pytest.raises(ModelNotFound, match="served are: 11"):
        repository.find("sum", "10")


def test_what_has_not_changed_is_not_loaded_again(models: Path) -> None:
    write_sum(models, name="other")
    repository = loaded(models)
    before = repository.models()
    write_sum(models, name="third")
    repository.refresh()
    assert repository.names() == ["other", "sum", "third"]
    assert all(model in repository.models() for model in before)


def test_a_version_that_changed_in_place_is_loaded_again_with_the_others_left_alone(models: Path) -> None:
    configure(models / "sum", version_policy={"all": {}})
    repository = loaded(models)
    before = {v: repository.find("sum", str(v)) for v in (1, 2, 10)}
    shutil.rmtree(models / "sum" / "2")
    write_sum(models, version=2)
    repository.refresh()
    assert {v: repository.find("sum", str(v)) is m for v, m in before.items()} == {1: True, 2: False, 10: True}


def test_a_bad_new_version_leaves_the_old_one_serving_and_the_index_says_why(models: Path) -> None:
    repository = loaded(models)
    serving = repository.find("sum")
    spoil(write_sum(models, version=11))
    repository.refresh()
    assert repository.find("sum") is serving
    state, reason = index(repository)["sum", 11]
    assert state == "UNAVAILABLE"
    assert "bytes, but its manifest says" in reason
    assert index(repository)["sum", 10] == ("READY", "")


def test_a_version_spoilt_in_place_serves_on_as_it_was_and_the_index_says_why(models: Path) -> None:
    repository = loaded(models)
    serving = repository.find("sum")
    path = models / "sum" / "10" / "model.onnx"
    good = path.read_bytes()
    spoil(path.parent)
    repository.refresh()
    repository.refresh()
    assert repository.find("sum") is serving
    state, reason = index(repository)["sum", 10]
    assert state == "READY"
    assert reason.startswith("what is on disk now was refused: model.onnx has")
    path.write_bytes(good)
    repository.refresh()
    assert index(repository)["sum", 10] == ("READY", "")
    assert repository.refusals == []


def test_what_was_refused_is_tried_again_only_when_it_has_changed(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(models / "sum" / "10")
    repository = loaded(models)
    for _ in range(3):
        repository.refresh()
    assert caplog.text.count("ERROR") == 1
    assert repository.versions("sum") == [2]
    shutil.rmtree(models / "sum" / "10")
    write_sum(models, version=10)
    repository.refresh()
    assert repository.versions("sum") == [10]


def test_a_bad_config_leaves_what_serves_and_a_mended_one_is_taken(models: Path) -> None:
    repository = loaded(models)
    (models / "sum" / "config.json").write_text("{")
    repository.refresh()
    assert repository.versions("sum") == [10]
    assert "no valid model config" in index(repository)["sum", None][1]
    configure(models / "sum", version_policy={"all": {}})
    repository.refresh()
    assert repository.versions("sum") == [1, 2, 10]
    assert ("sum", None) not in index(repository)


def test_deleted_versions_and_models_are_let_go_but_not_a_repository_that_is_away(models: Path) -> None:
    write_sum(models, name="other")
    repository = loaded(models)
    told: list[list[str]] = []
    repository.on_change = lambda: told.append(repository.names())
    shutil.rmtree(models / "sum" / "10")
    repository.refresh()
    assert repository.versions("sum") == [2]
    shutil.rmtree(models / "other")
    repository.refresh()
    assert repository.names() == ["sum"]
    assert told == [["other", "sum"], ["sum"]]
    models.rename(models.with_name("away"))
    repository.refresh()
    assert repository.names() == ["sum"]
    with pytest.raises(ModelNotFound, match="'other' is not found"):
        repository.find("other")


def test_a_version_that_the_config_asks_for_and_is_not_there_is_named(models: Path) -> None:
    configure(models / "sum", version_policy={"specific": {"versions": [2, 7]}})
    repository = new_repository(models)
    repository.load([])
    with pytest.raises(LoadFailed, match=r"version 7 is asked for by its config.*that are served: 2"):
        repository.load_model("sum")
    assert repository.versions("sum") == [2]


def test_models_are_loaded_and_unloaded_when_told(models: Path) -> None:
    write_sum(models, name="other")
    repository = new_repository(models)
    repository.load(["other"])
    assert repository.names() == ["other"]
    assert index(repository)["sum", None] == ("UNAVAILABLE", "not loaded")
    repository.load_model("sum")
    assert repository.names() == ["other", "sum"]
    repository.unload_model("sum")
    gc.collect()
    assert repository.names() == ["other"]
    assert index(repository)["sum", 10] == ("UNAVAILABLE", "unloaded")
    with pytest.raises(ModelNotFound, match="'sum' has no available versions: unloaded"):
        repository.find("sum")
    assert repository.knows("sum")
    with pytest.raises(InvalidRequest, match="failed to unload 'sum': it is not served"):
        repository.unload_model("sum")


def test_a_load_that_fails_says_why_and_what_serves_on(models: Path) -> None:
    repository = loaded(models)
    spoil(write_sum(models, version=11))
    with pytest.raises(LoadFailed, match=r"failed to load 'sum': version 11: model.onnx has .*that are served: 10"):
        repository.load_model("sum")
    with pytest.raises(LoadFailed, match="there is no version of it"):
        repository.load_model("nope")
    for name in ("", "..", ".hidden", "a/b", "/etc"):
        with pytest.raises(InvalidRequest, match="cannot be the name of a model"):
            repository.load_model(name)


def test_a_config_of_the_call_takes_the_place_of_the_models_own_until_the_next_load(models: Path) -> None:
    repository = loaded(models)
    repository.load_model("sum", config='{"max_batch_size": 3, "version_policy": {"all": {}}}')
    assert repository.versions("sum") == [1, 2, 10]
    assert {m.batcher.limits.max_batch_size for m in repository.models()} == {3}
    repository.load_model("sum")
    assert repository.versions("sum") == [10]
    assert {m.batcher.limits.max_batch_size for m in repository.models()} == {32}


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a\0b", "x" * 256, "ß" * 200])
def test_what_can_be_no_folder_can_be_no_model(models: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be the name of a model"):
        loaded(models).load_model(name)


@pytest.mark.parametrize("path", ["model.onnx", "1/../x", "/1/x", "x/y", "1/a\0b", "1/" + "x" * 256, "1/2/3"])
def test_files_of_the_call_lie_in_a_version(models: Path, path: str) -> None:
    with pytest.raises(InvalidRequest, match="is not inside of a version"):
        loaded(models, allow_unverified=True).load_model("new", "{}", {path: b""})


def test_a_folder_whose_name_no_reply_can_hold_is_left_out_and_said_once(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(models / "sum", models / "\udcff")
    repository = loaded(models)
    repository.refresh()
    assert {status.name for status in repository.index()} == {"sum"}
    assert caplog.text.count(r"refused '\udcff': its name is not UTF-8") == 1


def test_a_version_for_which_there_is_no_memory_is_refused_and_the_others_serve(models: Path) -> None:
    write_sum(models, name="huge")
    repository = new_repository(models)
    load = repository._loader.load

    def exhausted(folder: Path, name: str, settings: Any) -> Any:
        if name == "huge":
            raise MemoryError("Unable to allocate 16.0 GiB")
        return load(folder, name, settings)

    repository._loader.load = exhausted  # type: ignore[method-assign]
    repository.load()
    assert repository.names() == ["sum"]
    assert "there is not enough memory for it: Unable to allocate 16.0 GiB" in repository.refusals[0].reason


def test_files_of_the_call_take_the_place_of_the_folder(models: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = (models / "sum" / "10" / "model.onnx").read_bytes()
    repository = loaded(models, allow_unverified=True)
    repository.load_model("fresh", config="{}", files={"3/model.onnx": content})
    assert repository.versions("fresh") == [3]
    with pytest.raises(InvalidRequest, match="without a config"):
        repository.load_model("fresh", files={"3/model.onnx": content})
    for path in ("model.onnx", "../x/model.onnx", "1/../model.onnx", "/1/model.onnx", "x/model.onnx", "1/2/model.onnx"):
        with pytest.raises(InvalidRequest, match="not inside of a version"):
            repository.load_model("fresh", config="{}", files={path: content})
    strict = loaded(models)
    with pytest.raises(NotAllowed, match="start the server with --allow-unverified"):
        strict.load_model("fresh", config="{}", files={"3/model.onnx": content})
