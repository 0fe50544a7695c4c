"""Refuses calls of a grpc.server that may not be made: those of every service on it, and of none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import grpc

from convserve_server.calls import INTERNAL_ERROR, Admit, Code, Method, Refusal

log = logging.getLogger(__name__)
_STATUS = {status.value[0]: status for status in grpc.StatusCode}


def failing_closed(admit: Admit) -> Admit:
    """The same, and where it fails itself, nobody is let in."""

    def admit_or_refuse(path: str, metadata: Sequence[tuple[str, str | bytes]]) -> Refusal | None:
        try:
            return admit(path, metadata)
        except Exception:
            log.exception("nobody knows whether a call may be made, so it may not")
            return Code.INTERNAL, INTERNAL_ERROR

    return admit_or_refuse


class Guard(grpc.ServerInterceptor):
    """Asks ``admit`` of each call, also of those that no service has. What it refuses is not even read.

    Those of ``methods`` are told of it.
    """

    def __init__(self, admit: Admit, methods: Iterable[Method]) -> None:
        self._admit = failing_closed(admit)
        self._refused = {method.path: method.refused for method in methods}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        details = handler_call_details
        refusal = self._admit(details.method, details.invocation_metadata)
        if refusal is None:
            return continuation(details)
        if (refused := self._refused.get(details.method)) is not None:
            refused(refusal[0])
        return _refusing(refusal)


def _refusing(refusal: Refusal) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler that ends a call of any kind: on the wire they are alike, and a stream is not read by itself."""
    code, sentence = refusal

    def refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        context.abort(_STATUS[code], sentence)

    return grpc.stream_stream_rpc_method_handler(refuse)
