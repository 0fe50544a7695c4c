"""Server reflection as v1 and v1alpha; grpcio-reflection has the older of the two only."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from convserve_proto import open_inference
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from convserve_server.errors import InvalidRequest
from convserve_server.rpc.status import parse
from convserve_server.rpc.streams import with_pool

MOST_STREAMS = 32
"""Open streams; each has a thread. One more ends the oldest, so that nobody holds up those who ask."""
SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class _Pools:
    """Several descriptor pools, asked one after the other, as one."""

    def __init__(self, *pools: Any) -> None:
        self._pools = pools

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any) -> Any:
            for pool in self._pools:
                try:
                    return getattr(pool, name)(*arguments)
                except KeyError:
                    continue
            raise KeyError(*arguments)

        return ask


def _v1_pool() -> DescriptorPool:
    """The v1 definition: the messages of v1alpha under another package name."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    old, new = ".grpc.reflection.v1alpha.", ".grpc.reflection.v1."
    file.name = "grpc/reflection/v1/reflection.proto"
    file.package = new.strip(".")
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(old, new)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(old, new)
        method.output_type = method.output_type.replace(old, new)
    pool = DescriptorPool()
    pool.Add(file)
    return pool


class Reflection:
    """Tells clients which services there are and what their messages look like."""

    def __init__(self, services: Iterable[str]) -> None:
        pools = _Pools(Default(), open_inference.POOL, _v1_pool())
        self._servicer = reflection.ReflectionServicer((*services, *SERVICES), pool=pools)
        # A few more than streams, for those that take the place of older ones.
        self._pool = ThreadPoolExecutor(MOST_STREAMS + 4, thread_name_prefix="reflection")
        # In the order in which they were opened.
        self._open: dict[grpc.ServicerContext, None] = {}
        self._lock = threading.Lock()

    def add_to(self, server: grpc.Server) -> None:
        """Register both versions on a server."""
        handler: grpc.RpcMethodHandler[bytes, Any] = grpc.stream_stream_rpc_method_handler(
            with_pool(self._answer, self._pool),
            # Bytes are parsed in _answer: where grpc.server meets some that are no message on a stream, it loses count
            # of what the stream still has to do, and waits for that at a stop, for ever.
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        for service in SERVICES:
            handlers = {"ServerReflectionInfo": handler}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))

    def close(self) -> None:
        """End the streams that are open: they would hold a stop for its whole grace."""
        with self._lock:
            contexts = list(self._open)
        for context in contexts:
            context.cancel()

    def _answer(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with self._lock:
            oldest = next(iter(self._open)) if len(self._open) >= MOST_STREAMS else None
            if oldest is not None:
                del self._open[oldest]
            self._open[context] = None
        if oldest is not None:
            oldest.cancel()
        try:
            messages = (parse(reflection_pb2.ServerReflectionRequest, payload) for payload in requests)
            yield from self._servicer.ServerReflectionInfo(messages, context)
        except InvalidRequest as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            with self._lock:
                self._open.pop(context, None)
