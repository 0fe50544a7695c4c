"""A real server with the shipped models, and the convserve command in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.servers import ServerProcess

Convserve = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def address(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a server in a process of its own."""
    with ServerProcess(exported, tmp_path_factory.mktemp("server"), "--provider", "cpu") as server:
        yield server.address


@pytest.fixture
def convserve(address: str) -> Convserve:
    """Runs the command against that server."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "convserve_client", *map(str, arguments), "--server", address]
        environment = os.environ | {"PYTHONUTF8": "1"}
        return subprocess.run(command, capture_output=True, timeout=60, encoding="utf-8", env=environment)

    return run
