"""Both transports, for the suites that every transport must pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from convserve_server.calls import Handler
from convserve_server.transport.choice import Transport
from support.transports import Serve, served


@pytest.fixture(params=["standard", "fast"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which transport; every test that uses it runs on each."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def serve(kind: str) -> Iterator[Serve]:
    """Serves handlers, given by name; gives the transport and a channel to it."""
    with ExitStack() as stack:

        def start(settings: dict[str, Any] | None = None, **handlers: Handler) -> tuple[Transport, grpc.Channel]:
            return stack.enter_context(served(kind, settings or {}, **handlers))

        yield start
