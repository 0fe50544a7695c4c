"""What the services that are not hot calls share: handlers of grpc.server with a thread pool of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf.message import Message

from convserve_server.errors import InvalidRequest, sendable
from convserve_server.rpc.status import LONGEST_SENTENCE, parse

M = TypeVar("M", bound=Message)


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


def received(kind: type[M], payload: bytes, context: grpc.ServicerContext) -> M:
    """The message in ``payload``; ends the call with INVALID_ARGUMENT where it is none.

    To be used in place of a deserializer that is registered with grpc.server: where one of those fails, the call is
    answered with INTERNAL and a traceback is logged.
    """
    try:
        return parse(kind, payload)
    except InvalidRequest as error:
        refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, sentence: str) -> NoReturn:
    """End the call with a status whose sentence fits into a header."""
    context.abort(code, sendable(sentence, LONGEST_SENTENCE))
    raise AssertionError("abort has raised")
