"""A real server with the shipped models, for clients that others have written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers import ServerProcess


@pytest.fixture(scope="module", params=["standard", "fast"])
def address(request: pytest.FixtureRequest, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    with ServerProcess(exported, folder, "--provider", "cpu", "--transport", request.param) as server:
        yield server.address
