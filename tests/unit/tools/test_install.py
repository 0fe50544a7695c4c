"""tools/install.py: torch without CUDA wherever that is possible, and one ONNX Runtime."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import install

PIN = "2.13.0"
CUDA_ONLY = "torch (2.15.0)\nAvailable versions: 2.15.0, 2.13.0, 2.12.1\n"
WITH_CPU = "torch (2.15.0)\nAvailable versions: 2.15.0, 2.13.0+cpu, 2.13.0, 2.12.1\n"


class FakeEnvironment(install.Environment):
    """Answers from a script, and remembers what pip was told."""

    def __init__(
        self, *, configured: str | None = None, pytorch: str | None = None, installed: dict[str, str] | None = None
    ) -> None:
        super().__init__(Path("nowhere"))
        self.configured, self.pytorch = configured, pytorch
        self.has = installed or {}
        self.told: list[tuple[str, ...]] = []

    def probe(self, *arguments: str) -> str | None:
        return self.pytorch if install.PYTORCH_CPU_INDEX in arguments else self.configured

    def installed(self) -> dict[str, str]:
        return self.has

    def pip(self, *arguments: str) -> None:
        self.told.append(arguments)


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.usefixtures("linux")
class TestTorch:
    def test_a_cpu_build_on_the_configured_index_is_taken(self) -> None:
        assert install.torch_options(FakeEnvironment(configured=WITH_CPU, pytorch=WITH_CPU), "", PIN) == []

    def test_without_one_it_comes_from_pytorchs_cpu_index(self) -> None:
        chosen = install.torch_options(FakeEnvironment(configured=CUDA_ONLY, pytorch=WITH_CPU), "", PIN)
        assert chosen == ["--index-url", install.PYTORCH_CPU_INDEX]

    def test_a_cpu_build_of_another_version_does_not_count(self) -> None:
        other = CUDA_ONLY.replace("2.12.1", "2.12.1+cpu")
        chosen = install.torch_options(FakeEnvironment(configured=other, pytorch=WITH_CPU), "", PIN)
        assert chosen == ["--index-url", install.PYTORCH_CPU_INDEX]

    def test_an_installed_cpu_build_says_nothing_about_the_index(self) -> None:
        answer = CUDA_ONLY + "  INSTALLED: 2.13.0+cpu\n"
        chosen = install.torch_options(FakeEnvironment(configured=answer, pytorch=WITH_CPU), "", PIN)
        assert chosen == ["--index-url", install.PYTORCH_CPU_INDEX]

    def test_with_no_cpu_build_at_hand_the_user_is_warned_of_gigabytes(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert install.torch_options(FakeEnvironment(configured=CUDA_ONLY), "", PIN) == []
        assert "gigabytes" in capsys.readouterr().out

    def test_a_chosen_index_wins(self) -> None:
        environment = FakeEnvironment(configured=WITH_CPU)
        assert install.torch_options(environment, "https://example.org/cu", PIN) == [
            "--index-url",
            "https://example.org/cu",
        ]

    def test_elsewhere_than_on_linux_the_usual_torch_is_a_cpu_build(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        assert install.torch_options(FakeEnvironment(configured=CUDA_ONLY, pytorch=WITH_CPU), "", PIN) == []

    def test_only_torch_itself_comes_from_its_index(self) -> None:
        environment = FakeEnvironment(configured=CUDA_ONLY, pytorch=WITH_CPU)
        install.install_torch(environment, "")
        [command] = environment.told
        assert "--no-deps" in command
        assert command[-1].startswith("torch==")


class TestOnnxRuntime:
    def test_the_small_build_by_default(self) -> None:
        assert install.one_onnxruntime(FakeEnvironment(), frozenset()) == {"server-cpu"}

    def test_the_build_that_is_there_stays_when_nothing_is_asked(self) -> None:
        environment = FakeEnvironment(installed={"onnxruntime-gpu": "1.31.1"})
        assert install.one_onnxruntime(environment, frozenset()) == {"server"}
        assert environment.told == []

    def test_the_other_build_is_removed_first(self) -> None:
        environment = FakeEnvironment(installed={"onnxruntime": "1.32.0"})
        assert install.one_onnxruntime(environment, frozenset({"server", "cuda"})) == {"server", "cuda"}
        assert environment.told == [("uninstall", "--yes", "onnxruntime")]


class TestPlan:
    record = install.Record(frozenset({"export", "server"}), frozenset({"test"}))

    @pytest.mark.parametrize(
        ("extras", "groups", "runtime", "torch_index", "met"),
        [
            ({"export"}, set(), set(), "", True),
            ({"export"}, {"test"}, {"server"}, "", True),
            ({"export"}, {"lint"}, set(), "", False),
            ({"export"}, set(), {"server-cpu"}, "", False),
            ({"export"}, set(), set(), "https://example.org/cu", False),
        ],
    )
    def test_nothing_is_installed_again_when_it_is_all_there(
        self, extras: set[str], groups: set[str], runtime: set[str], torch_index: str, met: bool
    ) -> None:
        plan = install.Plan(
            extras=frozenset(extras), groups=frozenset(groups), runtime=frozenset(runtime), torch_index=torch_index
        )
        assert plan.is_met_by(self.record) is met


class TestProgress:
    def test_large_downloads_are_named(self) -> None:
        line = "  Downloading https://example.org/torch-2.13.0%2Bcpu-cp311.whl (191.8 MB)\n"
        assert install.progress(line) == "  downloading torch-2.13.0+cpu-cp311.whl (192 MB)"

    @pytest.mark.parametrize(
        "line", ["  Downloading six-1.17.0.whl (11 kB)\n", "  Downloading a-1.whl (1.2 MB)\n", "Collecting six\n"]
    )
    def test_small_ones_are_not(self, line: str) -> None:
        assert install.progress(line) is None

    def test_unpacking_says_how_much(self) -> None:
        assert install.progress("Installing collected packages: a, b, c\n") == "  unpacking 3 packages"
        assert install.progress("Installing collected packages: torch\n") == "  unpacking torch"


def test_every_pin_is_found_by_its_whole_name() -> None:
    constraints = "onnx-ir==1.1.0\nonnx==1.23.2\nonnxruntime==1.32.0\n"
    assert install.pinned("onnx", constraints) == "1.23.2"
    with pytest.raises(install.InstallFailed, match="does not pin torch"):
        install.pinned("torch", constraints)
