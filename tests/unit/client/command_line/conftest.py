"""The convserve command in this process, calling a fake server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from convserve_client import RetryPolicy
from convserve_client.cli import main
from support.fake_server import FakeServer

Run = Callable[..., int]


@pytest.fixture
def run(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command against the fake server, out of the tests' own environment, and gives its exit code."""
    monkeypatch.setenv("CONVSERVE_SERVER", server.target)
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    monkeypatch.delenv("CONVSERVE_TOKEN", raising=False)
    # No test sleeps.
    monkeypatch.setattr("convserve_client.link.RetryPolicy", lambda: RetryPolicy(attempts=3, first_pause=0.0))
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """Reads the JSON document that the command has printed."""
    return lambda: json.loads(capsys.readouterr().out)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with two pictures, something else, a hidden one, and one more in a folder below."""
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "sub/c.webp"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path
