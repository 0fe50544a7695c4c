"""What the services that are not hot calls share: handlers of grpc.server with a thread pool of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def with_pool(
    handler: Callable[..., Any], pool: ThreadPoolExecutor, *, non_blocking: bool = False
) -> Callable[..., Any]:
    """``handler``, run by grpc.server in ``pool`` instead of the server's threads.

    ``non_blocking`` is for response streams whose handler takes a send callback and returns at once.
    """

    def own(*arguments: Any) -> Any:
        return handler(*arguments)

    # grpc.server reads these attributes off the handler.
    own.experimental_thread_pool = pool  # type: ignore[attr-defined]
    own.experimental_non_blocking = non_blocking  # type: ignore[attr-defined]
    return own
