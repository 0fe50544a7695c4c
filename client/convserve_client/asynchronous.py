"""Carries the steps of operations out with asyncio: the driver of AsyncClient."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc
import grpc.aio

from convserve_client.errors import ClientClosed
from convserve_client.link import Link, failure_of
from convserve_client.steps import Answer, Failure, Send, Steps, Together, Wait, result_signature
from convserve_client.trace_context import with_trace

T = TypeVar("T")
P = ParamSpec("P")


class AsyncLink(Link):
    """A connection whose calls are awaited. Belongs to the event loop that its first call was made in."""

    def _prepare(self) -> None:
        # The channel belongs to an event loop: it is made at the first call, when there is one.
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}
        self._closed = False

    async def close(self) -> None:
        """Close the connection. Calls that are under way end with ClientClosed."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, steps: Steps[T]) -> T:
        """Carry an operation out and return its result. Cancelling the task cancels the calls."""
        outcome: Any = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Send):
                    outcome = await self._send(step)
                elif isinstance(step, Wait):
                    await asyncio.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = await self._together(step)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _method(self, path: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        if self._channel is None:
            credentials, options = self._credentials(), self._channel_options()
            self._channel = (
                grpc.aio.insecure_channel(self.target, options)
                if credentials is None
                else grpc.aio.secure_channel(self.target, credentials, options)
            )
        if path not in self._methods:
            self._methods[path] = self._channel.unary_unary(path)
        return self._methods[path]

    async def _send(self, step: Send) -> Answer | Failure:
        self._check_open()
        method = self._method(step.method)
        try:
            return Answer(await method(step.request, timeout=step.timeout, metadata=with_trace(self._metadata)))
        except grpc.RpcError as error:
            self._check_open()
            return failure_of(error)
        except asyncio.CancelledError:
            # close() in another task cancels the call, and gRPC reports it as if this task had been cancelled.
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                self._check_open()
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed(f"the client of {self.target} was closed")

    async def _together(self, step: Together[T]) -> list[T]:
        results: dict[int, T] = {}
        running: dict[asyncio.Task[T], int] = {}
        jobs = enumerate(step.jobs)
        try:
            while True:
                # Making a job may read files: not on the event loop.
                while len(running) < step.limit and (job := await asyncio.to_thread(next, jobs, None)) is not None:
                    running[asyncio.create_task(self.run(job[1]))] = job[0]
                if not running:
                    return [results[index] for index in range(len(results))]
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    result = results[running.pop(task)] = task.result()
                    if step.done is not None:
                        step.done(result)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def awaited(
    operation: Callable[Concatenate[AsyncLink, P], Steps[T]],
) -> Callable[Concatenate[AsyncLink, P], Coroutine[Any, Any, T]]:
    """The coroutine method that carries ``operation`` out and returns its result."""

    @functools.wraps(operation)
    async def method(client: AsyncLink, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await client.run(operation(client, *args, **kwargs))

    method.__signature__ = result_signature(operation)  # type: ignore[attr-defined]
    return method
