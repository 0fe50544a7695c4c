"""A changed bit in any file of an artifact is caught by ``verify`` and by the server, and the file is named."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import onnx
import pytest
from convserve_export.cli import main
from convserve_proto.checksums import sums
from convserve_server.artifacts import read_artifact
from convserve_server.errors import ModelBroken

from .conftest import Exported

FILES = (
    "labels.txt",
    "manifest.json",
    "manifest.sha256",
    "model.onnx",
    "model.pixels.onnx",
    "model.pt",
    "model.pt2",
    "provenance.json",
    "provenance.sha256",
    "references.npz",
    "report.html",
)


@pytest.fixture
def flip(exported: Exported, tmp_path: Path) -> Callable[[str], Path]:
    """An artifact with one bit changed in one file; the other files are links."""

    def flipped(name: str) -> Path:
        folder = tmp_path / "simple_cnn" / "1"
        folder.mkdir(parents=True)
        for file in exported.classifier.iterdir():
            if file.name != name:
                (folder / file.name).symlink_to(file)
        content = bytearray((exported.classifier / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        return folder

    return flipped


def test_these_are_all_files(exported: Exported) -> None:
    assert sorted(p.name for p in exported.classifier.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_caught_by_verify_and_by_the_server(
    flip: Callable[[str], Path], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = flip(name)
    assert main(["verify", str(folder)]) == 1
    assert name in capsys.readouterr().err
    with pytest.raises(ModelBroken, match=name.replace(".", r"\.")):
        read_artifact(folder)


def test_what_is_unchanged_passes_without_torch(exported: Exported) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from convserve_export.cli import main; "
        f"sys.exit(main(['verify', {str(exported.out)!r}, '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["failures"] == []
    names = {c["name"] for c in report["checks"]}
    assert {"hashes", "parameters", "model.onnx parity", "model.pixels.onnx parity"} <= names
    assert len({c["artifact"] for c in report["checks"]}) == 2


def test_weights_that_were_changed_together_with_every_hash_are_caught_by_their_answers(
    copied: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied.classifier
    old = (folder / "model.onnx").read_bytes()
    model = onnx.load_from_string(old)
    bias = next(i for i in model.graph.initializer if i.name == "fc2.bias")
    values = onnx.numpy_helper.to_array(bias) + 0.1
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    new = model.SerializeToString()
    (folder / "model.onnx").write_bytes(new)
    manifest = (folder / "manifest.json").read_text()
    manifest = manifest.replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())
    manifest = manifest.replace(f'"size": "{len(old)}"', f'"size": "{len(new)}"')
    (folder / "manifest.json").write_text(manifest)
    (folder / "manifest.sha256").write_bytes(sums({"manifest.json": manifest.encode()}))
    assert main(["verify", str(folder)]) == 1
    assert "model.onnx parity: largest difference 0.1" in capsys.readouterr().err


def test_files_that_are_missing_or_that_nobody_exported_are_named(
    flip: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = flip("labels.txt")
    (folder / "labels.txt").unlink()
    (folder / "extra.onnx").write_bytes(b"x")
    assert main(["verify", str(folder)]) == 1
    error = capsys.readouterr().err
    assert "labels.txt is missing" in error
    assert "nobody exported extra.onnx" in error


def test_junit_has_a_suite_for_each_artifact_and_a_failure_for_each_fault(
    flip: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = flip("model.pt")
    assert main(["verify", str(folder), "--junit", str(tmp_path / "junit.xml")]) == 1
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suite.get("name") == str(folder)
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["hashes"]
    assert suite.get("failures") == "1"


def test_a_folder_without_artifacts_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "holds no artifact" in capsys.readouterr().err
