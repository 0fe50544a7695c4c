"""What the wheel and the sdist hold, and what they must not."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)

PACKAGES = {"convserve_proto", "convserve_server", "convserve_export", "convserve_client"}


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_installs_only_names_of_our_own(files: set[str]) -> None:
    tops = {name.split("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES


def test_the_wheel_brings_the_trained_checkpoint(files: set[str]) -> None:
    assert [name for name in files if name.startswith("convserve_export/") and name.endswith(".safetensors")]


def test_the_wheel_is_typed(files: set[str]) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= files


def test_the_wheel_brings_the_contract_with_its_descriptors(files: set[str]) -> None:
    wanted = {"vision.proto", "manifest.proto", "open_inference.proto", "open_inference.binpb", "vision_pb2.pyi"}
    assert {f"convserve_proto/{name}" for name in wanted} <= files


def test_the_wheel_carries_the_licence(files: set[str]) -> None:
    assert [name for name in files if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_sdist_holds_all_that_make_test_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"Makefile", "constraints.txt", "pyproject.toml", "buf.yaml", "README.md", "CHANGELOG.md", "LICENSE"}
    wanted |= {
        "tools/install.py",
        "requirements/client.txt",
        "THIRD_PARTY_LICENSES.md",
        "tools/generate_proto.sh",
        "tests/e2e/install/test_distributions.py",
    }
    assert wanted <= names


def test_the_sdist_holds_no_build_results(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert tops.isdisjoint({"artifacts", "build", "dist", ".venv", ".venv-proto"})
