"""Bills of materials: valid CycloneDX, complete, and the same bytes for the same locks."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools.supply import locks, sbom
from tools.supply.locks import INSTALLS, Pin

HASH = "sha256:" + "a" * 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sbom")
    assert sbom.main(["--out", str(made)]) == 0
    return made


@pytest.mark.parametrize("install", INSTALLS)
def test_a_bill_keeps_to_the_schema(install: str, folder: Path) -> None:
    text = (folder / f"{install}.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize("install", INSTALLS)
def test_a_bill_lists_all_that_its_install_may_bring_with_licence_and_hashes(install: str, folder: Path) -> None:
    bill = json.loads((folder / f"{install}.cdx.json").read_text(encoding="utf-8"))
    listed = {each["name"]: each for each in bill["components"]}
    pins = locks.merged(map(locks.read, INSTALLS[install]))
    assert {name: each["version"] for name, each in listed.items()} == {pin.name: pin.version for pin in pins}
    for pin in pins:
        [files] = listed[pin.name]["externalReferences"]
        assert {f"sha256:{each['content']}" for each in files["hashes"]} == set(pin.hashes)
        assert listed[pin.name]["licenses"][0]["expression"]


def test_a_bill_is_of_our_version(folder: Path) -> None:
    version = tomllib.loads((locks.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    bill = json.loads((folder / "client.cdx.json").read_text(encoding="utf-8"))
    assert bill["metadata"]["component"]["version"] == version


def test_the_same_locks_give_the_same_bytes_and_others_another_serial_number(folder: Path, tmp_path: Path) -> None:
    sbom.main(["--out", str(tmp_path)])
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    one, other = (
        sbom.document("client", "1", [Pin("a", version, "", (HASH,))], {"a": "MIT"})["serialNumber"] for version in "12"
    )
    assert one != other


def test_what_is_installed_and_in_no_lock_is_an_error_that_names_it() -> None:
    with pytest.raises(sbom.Unlisted, match=r"\S+ \d\S* is installed and in no lock"):
        sbom.installed([])
