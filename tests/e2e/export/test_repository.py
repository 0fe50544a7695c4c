"""Publishing is all or nothing: next to other exports, on a full disk, and whenever the process is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from convserve_export.errors import BadInput
from convserve_export.repository import STAGING_PREFIX, Repository

FILES = {"model.onnx": b"graph" * 1000, "model.pt": b"script" * 1000}


def publish(repository: Repository, version: int | None = None, model: str = "m") -> Path:
    with repository.staging() as staging:
        for name, data in FILES.items():
            staging.write(name, data)
        return staging.publish(model, version, lambda number: {"manifest.json": f"version {number}".encode()})


def assert_complete(folder: Path) -> None:
    """A version holds all of its files, and a manifest of that version."""
    expected = FILES | {"manifest.json": f"version {folder.name}".encode()}
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == expected


def hidden(out: Path) -> list[Path]:
    return list(out.glob(f"{STAGING_PREFIX}*"))


def test_the_next_free_version_is_one_above_the_highest(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "new" / "out")
    assert [publish(repository).name for _ in range(2)] == ["1", "2"]
    assert publish(repository, version=7).name == "7"
    assert publish(repository).name == "8"
    assert repository.versions("m") == [1, 2, 7, 8]
    for version in repository.versions("m"):
        assert_complete(repository.path("m", version))
    assert hidden(repository.folder) == []


def test_an_existing_version_is_never_overwritten(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    place = publish(repository)
    (place / "model.onnx").write_bytes(b"precious")
    with pytest.raises(BadInput, match="is there already and is never overwritten"):
        publish(repository, version=1)
    assert (place / "model.onnx").read_bytes() == b"precious"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("what", ["file", "empty folder", "link to nowhere"])
def test_whatever_has_the_name_of_a_version_is_in_the_way(tmp_path: Path, what: str) -> None:
    place = tmp_path / "m" / "3"
    place.parent.mkdir()
    if what == "file":
        place.touch()
    elif what == "empty folder":
        place.mkdir()
    else:
        place.symlink_to(tmp_path / "nowhere")
    repository = Repository(tmp_path)
    with pytest.raises(BadInput, match="is there already"):
        publish(repository, version=3)
    assert publish(repository).name == "4"


def test_numbers_come_to_an_end(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    publish(repository, version=2**31 - 1)
    with pytest.raises(BadInput, match="has no free version"):
        publish(repository)
    assert publish(repository, version=5).name == "5"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/abs", ".hidden", "-x", "a b", "ä", "x" * 101, "a\n"])
def test_names_that_are_no_plain_folder_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="cannot name a model"):
        Repository(tmp_path).require_free(name, None)


def test_exports_at_the_same_time_get_versions_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        places = list(pool.map(lambda _: publish(Repository(tmp_path)), range(24)))
    assert sorted(int(p.name) for p in places) == list(range(1, 25))
    for place in places:
        assert_complete(place)
    assert hidden(tmp_path) == []


def test_a_version_that_another_export_took_in_the_last_moment_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository(tmp_path)
    publish(repository)
    real, blind = repository.versions, 1

    def versions(model: str) -> list[int]:
        nonlocal blind
        blind -= 1
        return [] if blind >= 0 else real(model)

    monkeypatch.setattr(repository, "versions", versions)
    assert publish(repository).name == "2"
    assert blind < 0
    assert_complete(tmp_path / "m" / "1")
    assert_complete(tmp_path / "m" / "2")


def test_the_staging_of_a_living_export_is_not_removed_and_that_of_a_dead_one_is(tmp_path: Path) -> None:
    (tmp_path / f"{STAGING_PREFIX}dead").mkdir()
    (tmp_path / f"{STAGING_PREFIX}dead" / "model.onnx").write_bytes(b"half")
    with Repository(tmp_path).staging() as living:
        living.write("model.onnx", b"whole")
        publish(Repository(tmp_path))
        assert (living.folder / "model.onnx").read_bytes() == b"whole"
        assert hidden(tmp_path) == [living.folder]


@pytest.mark.parametrize("moment", range(5))
def test_a_disk_that_fills_up_at_any_moment_ends_in_a_sentence_and_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    real, calls = os.fsync, iter(range(100))

    def full(descriptor: int) -> None:
        if next(calls) == moment:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    repository = Repository(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(BadInput, match=r"cannot be written.*: No space left on device"):
            publish(repository)
    assert repository.versions("m") == []
    assert hidden(tmp_path) == []
    assert publish(repository).name == "1"


def test_a_disk_that_does_not_confirm_the_last_step_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, iter(range(100))

    def fail(descriptor: int) -> None:
        if next(calls) == 5:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    assert_complete(publish(Repository(tmp_path)))


def test_a_file_that_the_system_cuts_off_ends_in_a_sentence(tmp_path: Path) -> None:
    """A real failing write, in a process whose files may not grow beyond 4 KiB: less than one of the files."""
    result = child(
        tmp_path,
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: publish()\n"
        "except BadInput as error: print(error)\n",
    )
    assert result.returncode == 0, result.stderr
    assert "model.onnx cannot be written: File too large" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "below a file", "proc"])
def test_an_output_that_cannot_be_written_ends_in_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    out = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "x", "proc": Path("/proc/artifacts")}[place]
    with pytest.raises(BadInput, match="cannot be used for artifacts"):
        Repository(out)


def test_a_model_name_that_is_taken_by_a_file_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "m").touch()
    with pytest.raises(BadInput, match="cannot be written to: File exists"):
        publish(Repository(tmp_path))
    assert hidden(tmp_path) == []


def test_what_the_disk_gives_back_differently_is_not_published(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with repository.staging() as staging:
        staging.write("model.onnx", b"whole").write_bytes(b"wh")
        with pytest.raises(BadInput, match=r"model\.onnx does not hold what was written to it"):
            staging.publish("m", None, lambda number: {"manifest.json": b"{}"})
    assert repository.versions("m") == []


SCRIPT = """
import os, pathlib, signal, sys
from convserve_export.errors import BadInput
from convserve_export.repository import Repository, Staging

def publish():
    with Repository(pathlib.Path(sys.argv[1])).staging() as staging:
        staging.write("model.onnx", b"graph" * 1000)
        staging.write("model.pt", b"script" * 1000)
        staging.publish("m", None, lambda number: {"manifest.json": f"version {number}".encode()})

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def die_at(owner, name, call, after=False):
    original, calls = getattr(owner, name), []
    def patched(*arguments, **options):
        calls.append(name)
        if len(calls) == call and not after: die()
        result = original(*arguments, **options)
        if len(calls) == call: die()
        return result
    setattr(owner, name, patched)
"""


def child(out: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SCRIPT + code, out], capture_output=True, text=True, timeout=60)


MOMENTS = [
    # what is interrupted, whether the version is published by then
    *[(f"die_at(os, 'fsync', {n})", False) for n in range(1, 6)],
    ("die_at(os, 'fsync', 6)", True),  # the folder of the versions, after the rename
    ("die_at(Staging, 'write', 1, after=True)", False),
    ("die_at(Staging, '_read_back', 1, after=True)", False),
    ("die_at(pathlib.Path, 'rename', 1)", False),
    ("die_at(pathlib.Path, 'rename', 1, after=True)", True),
]


@pytest.mark.parametrize(("moment", "published"), MOMENTS)
def test_a_killed_export_leaves_no_half_version_and_does_not_hinder_the_next(
    tmp_path: Path, moment: str, published: bool
) -> None:
    result = child(tmp_path, f"{moment}\npublish()\n")
    assert result.returncode == -signal.SIGKILL, result.stderr
    repository = Repository(tmp_path)
    assert repository.versions("m") == ([1] if published else [])
    if published:
        assert_complete(tmp_path / "m" / "1")
    else:
        assert len(hidden(tmp_path)) == 1, "the leftover is hidden"
    assert_complete(publish(repository))
    assert hidden(tmp_path) == [], "and the next export removes it"
