"""What systemd hears, and that nobody minds where there is none. (A datagram to one's own socket waits for nobody.)"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from convserve_server.service_manager import ServiceManager


@pytest.fixture(params=["file", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = str(tmp_path / "notify") if request.param == "file" else f"@convserve-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind("\0" + name[1:] if name.startswith("@") else name)
        one.settimeout(5)
        yield one, name


def test_it_hears_of_ready_life_and_stopping(listener: tuple[socket.socket, str]) -> None:
    heard, name = listener
    manager = ServiceManager({"NOTIFY_SOCKET": name})
    manager.ready()
    manager.alive()
    manager.stopping(2.5)
    assert heard.recv(500).decode().splitlines() == ["READY=1", "STATUS=serving"]
    assert heard.recv(500) == b"WATCHDOG=1"
    told = heard.recv(500).decode().splitlines()
    assert told == ["STOPPING=1", "STATUS=draining", "EXTEND_TIMEOUT_USEC=2500000"]


def test_without_one_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    ServiceManager({}).ready()


def test_one_that_is_gone_is_no_reason_to_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
    assert "the service manager cannot be told READY=1" in caplog.text


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "77"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_are_sent_twice_as_often_as_they_are_waited_for(
    variables: dict[str, str], seconds: float | None
) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": "/run/notify", **variables}, process=77).watchdog == seconds
    assert ServiceManager(variables, process=77).watchdog is None
