"""Artifacts that many tests share, exported once a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from convserve_server.grpc_core import tell_core
from hypothesis import HealthCheck, settings

tell_core()  # as convserve-server does, before anything imports grpc

# How fast something is, is no rule of a test: a busy machine would break it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the shipped simple_cnn and the convolution demo, as convserve-export publishes them."""
    from convserve_export.cli import main

    out = tmp_path_factory.mktemp("artifacts")
    assert main(["--out", str(out)]) == 0
    return out
