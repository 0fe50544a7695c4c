"""The unit file is one that systemd takes, where there is a systemd to ask; and it fits the server's settings."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
from convserve_server.settings import OPTIONS, Settings
from convserve_server.single import AFTER_GRACE

UNIT = Path(__file__).resolve().parents[3] / "deploy" / "systemd" / "convserve.service"


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text())
    return parser


def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze")
    # The program is not installed here, and that it is not there would be said.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/convserve/bin/convserve-server", "/bin/true"))
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
    assert [line for line in done.stderr.splitlines() if UNIT.stem in line] == []


def test_it_waits_for_a_drain_as_the_settings_have_it(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert float(service["TimeoutStopSec"]) >= Settings().pre_stop_delay + Settings().grace + AFTER_GRACE


def test_its_variables_are_settings(unit: configparser.ConfigParser) -> None:
    names = {line.partition("=")[0] for line in unit["Service"]["Environment"].splitlines()}
    assert names <= {option.variable for option in OPTIONS}
