"""Every fault is survived on each transport."""

from __future__ import annotations

import sys

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/faults/" in item.path.as_posix() and not sys.platform.startswith("linux"):
            item.add_marker(pytest.mark.skip(reason="what a process holds is read from /proc"))


@pytest.fixture(params=["standard", "fast"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which transport."""
    chosen: str = request.param
    return chosen
