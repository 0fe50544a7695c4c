"""What grpc.server does with the handlers that are registered on it, without a server: messages in, answers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import grpc
from convserve_server.calls import Code

from fuzz.answers import check_refusal
from fuzz.target import Finding


class Aborted(Exception):
    """A handler has ended its call with a status."""


class Context:
    """The context of one call."""

    def __init__(self, metadata: Sequence[tuple[str, str]] = ()) -> None:
        self._metadata = metadata
        self._callbacks: list[Callable[[], None]] = []
        self._active = True

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def time_remaining(self) -> None:
        """There is no deadline."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def peer_identities(self) -> None:
        """Nobody has a certificate."""

    def is_active(self) -> bool:
        return self._active

    def add_callback(self, callback: Callable[[], None]) -> bool:
        self._callbacks.append(callback)
        return True

    def cancel(self) -> None:
        """The caller is gone."""
        self._active = False
        for callback in self._callbacks:
            callback()

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        check_refusal(Code(code.value[0]), details)
        raise Aborted(f"{code.name}: {details}")


class Registered:
    """Takes handlers as a grpc.Server does."""

    def __init__(self) -> None:
        self._handlers: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self._handlers += handlers

    def ask(self, path: str, messages: list[bytes], metadata: Sequence[tuple[str, str]] = (), most: int = 1000) -> str:
        """How a call with these messages is answered, taking at most so many answers; a unary one takes the first."""
        details: Any = type("Details", (), {"method": path, "invocation_metadata": metadata})
        handler = next(found for h in self._handlers if (found := h.service(details)) is not None)
        context = Context(metadata)
        read = handler.request_deserializer or (lambda data: data)
        write = handler.response_serializer or (lambda data: data)
        try:
            requests = _read(read, messages)
            request = requests if handler.request_streaming else next(requests)
            if not handler.response_streaming:
                answer = handler.stream_unary if handler.request_streaming else handler.unary_unary
                write(answer(request, context))
                return "OK"
            behavior = handler.stream_stream if handler.request_streaming else handler.unary_stream
            answers = behavior(request, context)
            count = 0
            while count < most and next(answers, None) is not None:
                count += 1
            answers.close()
            return f"OK {count}"
        except Aborted as refusal:
            return str(refusal)
        finally:
            context.cancel()


def _read(read: Callable[[bytes], Any], messages: list[bytes]) -> Iterator[Any]:
    for message in messages:
        try:
            request = read(message)
        except Exception as error:
            # grpc.server logs a traceback and answers INTERNAL.
            raise Finding(f"{len(message)} bytes cannot be deserialized: {error!r}") from error
        yield request
