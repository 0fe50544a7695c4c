"""Artifacts that many tests share, exported once a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from convserve_server.grpc_core import tell_core

tell_core()  # as convserve-server does, before anything imports grpc


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the shipped simple_cnn and the convolution demo, as convserve-export publishes them."""
    from convserve_export.cli import main

    out = tmp_path_factory.mktemp("artifacts")
    assert main(["--out", str(out)]) == 0
    return out
