"""A fake server, and one way to call either client, so that each rule is proved for both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from convserve_client import AsyncClient, Client, RetryPolicy
from support.fake_server import FakeServer, running

AT_ONCE = RetryPolicy(attempts=3, first_pause=0.0)
"""Tries again without a pause: no test sleeps."""


class Call(Protocol):
    """Calls one operation with a fresh client and returns its result."""

    def __call__(
        self, target: str, operation: str, /, *args: Any, settings: dict[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        """``settings`` are the client's, the rest goes to the operation."""


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A fake server that answers everything."""
    with running() as fake:
        yield fake


@pytest.fixture(params=["threads", "asyncio"])
def call(request: pytest.FixtureRequest) -> Call:
    """Either client."""

    def by_threads(
        target: str, operation: str, /, *args: Any, settings: dict[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        with Client(target, **{"retry": AT_ONCE, "timeout": 10.0, **(settings or {})}) as client:
            return getattr(client, operation)(*args, **kwargs)

    def by_asyncio(
        target: str, operation: str, /, *args: Any, settings: dict[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        async def run() -> Any:
            async with AsyncClient(target, **{"retry": AT_ONCE, "timeout": 10.0, **(settings or {})}) as client:
                return await getattr(client, operation)(*args, **kwargs)

        return asyncio.run(run())

    return by_threads if request.param == "threads" else by_asyncio
