"""What the two drivers owe beside the operations: order, bounds, and an end to everything when one thing ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from convserve_client import AsyncClient, Client, ClientClosed, InvalidArgument, RetryPolicy
from convserve_client.steps import Steps, Together
from support.fake_server import FakeServer, Refused

PATIENT = RetryPolicy(attempts=2, first_pause=60.0, longest_pause=60.0)


def held(server: FakeServer) -> tuple[threading.Event, threading.Event]:
    """ServerLive waits: the first event says that it was called, the second lets it go."""
    called, let_go = threading.Event(), threading.Event()

    def answer(_: bytes) -> bytes:
        called.set()
        let_go.wait(20)
        raise Refused(grpc.StatusCode.INTERNAL, "let go")

    server.answers["ServerLive"] = answer
    return called, let_go


def test_closing_a_client_ends_a_call_of_another_thread(server: FakeServer) -> None:
    called, let_go = held(server)
    client = Client(server.target)
    caught: list[BaseException] = []

    def run() -> None:
        try:
            client.is_live()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert called.wait(10)
    client.close()
    thread.join(10)
    let_go.set()
    assert [type(error) for error in caught] == [ClientClosed]
    assert server.count("ServerLive") == 1


def test_closing_a_client_ends_its_pauses(server: FakeServer) -> None:
    client = Client(server.target, retry=PATIENT, timeout=300.0)
    server.answers["ServerLive"] = lambda _: _closing(client)
    with pytest.raises(ClientClosed):
        client.is_live()


def _closing(client: Client) -> bytes:
    threading.Timer(0.02, client.close).start()
    raise Refused(grpc.StatusCode.UNAVAILABLE, "come back in a minute")


def test_closing_an_asyncio_client_ends_its_calls(server: FakeServer) -> None:
    called, let_go = held(server)

    async def run() -> None:
        client = AsyncClient(server.target)
        task = asyncio.create_task(client.is_live())
        await asyncio.to_thread(called.wait, 10)
        await client.close()
        with pytest.raises(ClientClosed):
            await task
        with pytest.raises(ClientClosed):
            await client.is_live()

    asyncio.run(run())
    let_go.set()


def test_cancelling_a_task_cancels_its_call_and_is_not_an_error_of_the_server(server: FakeServer) -> None:
    called, let_go = held(server)

    async def run() -> None:
        async with AsyncClient(server.target) as client:
            task = asyncio.create_task(client.is_live())
            await asyncio.to_thread(called.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    let_go.set()
    assert server.count("ServerLive") == 1


def test_an_asyncio_client_can_be_made_before_there_is_an_event_loop(server: FakeServer) -> None:
    client = AsyncClient(server.target)

    async def run() -> bool:
        async with client:
            return await client.is_live()

    assert asyncio.run(run())


def run_together(target: str, asynchronous: bool, jobs: Any, limit: int, done: Any = None) -> list[Any]:
    """Carry jobs out with either client; ``jobs`` makes them from a client."""

    def steps(client: Any) -> Steps[list[Any]]:
        results: list[Any] = yield Together(iter(jobs(client)), limit, done)
        return results

    if not asynchronous:
        with Client(target, retry=PATIENT, timeout=300.0) as client:
            return client.run(steps(client))

    async def run() -> list[Any]:
        async with AsyncClient(target, retry=PATIENT, timeout=300.0) as client:
            return await client.run(steps(client))

    return asyncio.run(run())


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["threads", "asyncio"])


@both
def test_no_more_than_the_limit_is_under_way_at_once(server: FakeServer, asynchronous: bool) -> None:
    lock = threading.Lock()
    now = most = 0
    all_here = threading.Barrier(3)

    def answer(request: bytes) -> bytes:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        all_here.wait(10)  # three are needed to go on: fewer at a time would break the barrier
        with lock:
            now -= 1
        return request

    server.answers["Echo"] = answer
    finished: list[bytes] = []
    results = run_together(
        server.target,
        asynchronous,
        lambda client: (client.call("/a.B/Echo", bytes([n]), bytes, None) for n in range(9)),
        3,
        finished.append,
    )
    assert results == [bytes([n]) for n in range(9)]
    assert sorted(finished) == results
    assert most == 3


@both
def test_the_first_failure_ends_calls_and_pauses_of_the_others(server: FakeServer, asynchronous: bool) -> None:
    """The others would take a minute each: one waits for its next try, one for its answer."""
    called, let_go = held(server)
    paused = threading.Event()

    def pause(_: bytes) -> bytes:
        paused.set()
        raise Refused(grpc.StatusCode.UNAVAILABLE, "come back in a minute")

    def fail(_: bytes) -> bytes:
        assert called.wait(10)
        assert paused.wait(10)
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "the first failure")

    server.answers.update(Pause=pause, Fail=fail)
    never_taken: list[int] = []

    def jobs(client: Any) -> Iterator[Steps[bytes]]:
        for method in ("ServerLive", "Pause", "Fail"):
            yield client.call(f"/a.B/{method}", b"", bytes, None)
        never_taken.append(1)
        yield client.call("/a.B/Never", b"", bytes, None)

    with pytest.raises(InvalidArgument, match="the first failure"):
        run_together(server.target, asynchronous, jobs, 3)
    let_go.set()
    assert never_taken == []


@both
def test_a_failing_iterator_ends_it_too(server: FakeServer, asynchronous: bool) -> None:
    def jobs(client: Any) -> Iterator[Steps[bool]]:
        yield client.call("/inference.GRPCInferenceService/ServerLive", b"", bool, None)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        run_together(server.target, asynchronous, jobs, 2)
