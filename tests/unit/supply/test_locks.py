"""The committed locks: closed, pinned, hashed, at the versions of constraints.txt, and right on each platform."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement

from tools.renew_constraints import CUDA_COMPANIONS
from tools.supply import locks, renew_locks
from tools.supply.locks import BUILD, CLIENT, ROOT, Pin

TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads(TEXT)
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
NAMES = locks.names(TEXT)
HASH = "sha256:" + "0" * 64
LINUX = ["x86_64", "aarch64"]


def wanted(name: str) -> list[Requirement]:
    """What pyproject.toml asks for under the name of a lock."""
    if name == BUILD:
        lines = PYPROJECT["build-system"]["requires"]
    else:
        lines = [*PYPROJECT["project"]["dependencies"], *EXTRAS.get(name, [])]
    return [Requirement(line) for line in lines]


def on_linux(machine: str) -> dict[str, str]:
    known = {name: str(value) for name, value in default_environment().items()}
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": machine}
    return known | linux | {"extra": "", "platform_python_implementation": "CPython", "implementation_name": "cpython"}


def installed(name: str, machine: str) -> dict[str, str]:
    """Name and version of what a lock installs on Linux."""
    there = on_linux(machine)
    return {pin.name: pin.version for pin in locks.read(name) if not pin.marker or Marker(pin.marker).evaluate(there)}


def test_there_is_a_lock_for_the_client_the_build_and_every_extra_and_no_other() -> None:
    assert {file.stem for file in locks.FOLDER.glob("*.txt")} == {CLIENT, BUILD, *EXTRAS}


def test_every_published_install_is_made_of_locks() -> None:
    assert {name for parts in locks.INSTALLS.values() for name in parts} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_agrees_with_the_constraints(name: str) -> None:
    constraints = locks.constraints()
    assert {pin.name: pin.version for pin in locks.read(name)} == {
        pin.name: constraints.get(pin.name, "nothing: run `make constraints`") for pin in locks.read(name)
    }


@pytest.mark.parametrize("machine", LINUX)
@pytest.mark.parametrize("name", NAMES)
def test_a_lock_has_all_that_its_extra_asks_for_on_that_platform(name: str, machine: str) -> None:
    has = installed(name, machine)
    for requirement in wanted(name):
        if requirement.marker and not requirement.marker.evaluate(on_linux(machine)):
            continue
        version = has.get(locks.normal(requirement.name))
        assert version, f"{name} lacks {requirement} on {machine}: run `make constraints`"
        assert requirement.specifier.contains(version), f"{name} has {version}, which is not {requirement}"


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_names_no_index_and_builds_nothing(name: str) -> None:
    lines = locks.path(name).read_text(encoding="utf-8").splitlines()
    assert [
        line for line in lines if "://" in line or line.startswith(("-i", "-f", "--index", "--extra", "--find"))
    ] == []
    assert "--only-binary :all:" in lines


@pytest.mark.parametrize("name", ["server", "server-cpu", "cuda"])
@pytest.mark.parametrize("machine", LINUX)
def test_a_server_gets_one_build_of_onnxruntime(name: str, machine: str) -> None:
    """The one for GPUs where it has wheels; both would overwrite each other's files."""
    builds = {build for build in installed(name, machine) if build.startswith("onnxruntime")}
    gpu, cpu = {"onnxruntime-gpu"}, {"onnxruntime"}
    assert (
        builds
        == {
            "server": gpu if machine == "x86_64" else cpu,
            "server-cpu": cpu,
            "cuda": gpu if machine == "x86_64" else set(),
        }[name]
    )


@pytest.mark.parametrize("machine", LINUX)
def test_the_export_lock_has_no_cuda_libraries(machine: str) -> None:
    assert [name for name in installed("export", machine) if CUDA_COMPANIONS.fullmatch(name)] == []


def test_locks_that_go_together_agree() -> None:
    """pip takes the files that all of the given locks allow: with other hashes in one of them, it would find none."""
    for parts in locks.INSTALLS.values():
        found: dict[str, Pin] = {}
        for pin in (pin for name in parts for pin in locks.read(name)):
            assert found.setdefault(pin.name, pin).hashes == pin.hashes, (parts, pin.name)


class TestReading:
    def test_what_is_rendered_is_read_back(self) -> None:
        pins = [Pin("a", "1.0", "", (HASH,)), Pin("b-c", "2", "sys_platform == 'linux'", (HASH, HASH[:-1] + "1"))]
        assert locks.parse(renew_locks.render("server", pins)) == pins

    @pytest.mark.parametrize(
        "line",
        [f"a>=1 --hash={HASH}", "a==1", "--index-url https://example.org", f"a @ https://example.org --hash={HASH}"],
    )
    def test_anything_but_a_pin_with_hashes_is_refused(self, line: str) -> None:
        with pytest.raises(locks.BadLock, match=re.escape(line[:40])):
            locks.parse(line + "\n")

    def test_merged_locks_want_a_pin_wherever_one_of_them_does(self) -> None:
        everywhere, linux = Pin("a", "1", "", (HASH,)), Pin("a", "1", "sys_platform == 'linux'", (HASH,))
        windows = Pin("a", "1", "sys_platform == 'win32'", (HASH,))
        assert locks.merged([[linux], [everywhere]]) == [everywhere]
        [both] = locks.merged([[linux], [windows]])
        assert both.marker == "(sys_platform == 'linux') or (sys_platform == 'win32')"


def test_the_cpu_builds_of_torch_are_told_from_others_by_the_names_of_their_files() -> None:
    files = {"2.13.0%2Bcpu-cp311": "a", "2.13.0%2Bcu130-cp311": "b", "2.13.0-cp311": "c", "2.13.1%2Bcpu-cp311": "d"}
    page = "".join(
        f'<a href="/whl/torch-{name}-linux.whl#sha256={letter * 64}">x</a>' for name, letter in files.items()
    )
    assert renew_locks.cpu_builds(page, "2.13.0") == ["sha256:" + "a" * 64]
