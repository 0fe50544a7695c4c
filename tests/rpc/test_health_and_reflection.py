"""grpc.health.v1 in full, and reflection as v1 and v1alpha."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from convserve_server.app import App
from convserve_server.rpc import health, reflection
from convserve_server.rpc.health import Health
from convserve_server.settings import Settings
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from support.artifacts import write_sum
from support.servers import running_app
from support.transports import wait_until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[App]:
    write_sum(tmp_path)
    with running_app(tmp_path, transport=kind) as app:
        yield app


@pytest.fixture
def channel(app: App) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        yield channel


def check(channel: grpc.Channel, service: str) -> Any:
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status


def test_the_server_its_services_and_its_models_have_a_status(channel: grpc.Channel) -> None:
    listed = health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest(), timeout=10).statuses
    statuses = {name: response.status for name, response in listed.items()}
    assert statuses == {
        "": SERVING,
        "inference.GRPCInferenceService": SERVING,
        # There is no model for these here.
        "convserve.v1.ImageClassifier": NOT_SERVING,
        "convserve.v1.Convolution": NOT_SERVING,
        "models/sum": SERVING,
    }
    assert {name: check(channel, name) for name in statuses} == statuses


def test_an_unknown_service_is_not_found(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        check(channel, "nope")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "unknown service 'nope'; List names the known ones"


@pytest.mark.parametrize("name", ["Check", "List"])
def test_bytes_that_are_no_message_are_an_invalid_argument_and_no_bug(
    channel: grpc.Channel, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/grpc.health.v1.Health/{name}", lambda b: b, lambda b: b)(b"\xff", timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the 1 bytes of the request are no valid grpc.health.v1.Health" in str(caught.value.details())
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_bytes_that_are_no_message_end_a_stream_with_an_invalid_argument(channel: grpc.Channel, path: str) -> None:
    stream = channel.stream_stream(path, lambda b: b, lambda b: b)(iter([b"\xff"]), timeout=10)
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_name_of_many_kilobytes_is_not_found_like_any_other(channel: grpc.Channel) -> None:
    """A sentence that quoted all of it would not fit into the headers, and the caller would hear of those."""
    with pytest.raises(grpc.RpcError) as caught:
        check(channel, "x" * 20_000)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_not_serving_until_models_are_loaded_and_warmed(tmp_path: Path, kind: str) -> None:
    write_sum(tmp_path)
    app = App(Settings(repository=tmp_path, listen="127.0.0.1:0", provider="cpu", transport=kind))
    seen: list[int] = []
    load = app.repository.load

    def load_and_look(names: Iterable[str] | None = None) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
            seen.append(check(channel, ""))
            load(names)
            seen.append(check(channel, ""))

    app.repository.load = load_and_look  # type: ignore[method-assign]
    app.start()
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        seen.append(check(channel, ""))
    app.stop(grace=1)
    assert seen == [NOT_SERVING, NOT_SERVING, SERVING]


def test_watchers_hear_of_the_drain_and_do_not_hold_it_up(tmp_path: Path, kind: str) -> None:
    write_sum(tmp_path)
    app = App(Settings(repository=tmp_path, listen="127.0.0.1:0", provider="cpu", transport=kind))
    app.start()
    heard: dict[str, list[int]] = {"": [], "nope": []}
    ended: list[str] = []
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:

        def watch(service: str) -> None:
            stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
            try:
                heard[service].extend(response.status for response in stream)
            except grpc.RpcError as error:
                ended.append(f"{service}: {error}")

        threads = [threading.Thread(target=watch, args=(service,)) for service in heard]
        for thread in threads:
            thread.start()
        wait_until(lambda: app._health._watching == 2)
        stopper = threading.Thread(target=app.stop, args=(30,))
        stopper.start()
        stopper.join(10)
        assert not stopper.is_alive(), "an open Watch held the stop"
        for thread in threads:
            thread.join(10)
    assert heard == {"": [SERVING, NOT_SERVING], "nope": [SERVICE_UNKNOWN]}
    assert ended == []


def test_a_watcher_that_leaves_is_forgotten(app: App, channel: grpc.Channel) -> None:
    stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert next(iter(stream)).status == SERVING
    assert app._health._watching == 1
    stream.cancel()
    wait_until(lambda: app._health._watching == 0)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_every_service(channel: grpc.Channel, version: str) -> None:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    ask = channel.stream_stream(
        path,
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )

    def answers(*requests: Any) -> list[Any]:
        return list(ask(iter(requests), timeout=10))

    (listing,) = answers(reflection_pb2.ServerReflectionRequest(list_services=""))
    names = [service.name for service in listing.list_services_response.service]
    assert set(names) >= {
        "inference.GRPCInferenceService",
        "convserve.v1.ImageClassifier",
        "convserve.v1.Convolution",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    symbols = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in names]
    for name, answer in zip(names, answers(*symbols), strict=True):
        assert answer.file_descriptor_response.file_descriptor_proto, name
    (missing,) = answers(reflection_pb2.ServerReflectionRequest(file_containing_symbol="x.Y"))
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


def test_an_open_reflection_stream_does_not_hold_a_stop(tmp_path: Path, kind: str) -> None:
    write_sum(tmp_path)
    app = App(Settings(repository=tmp_path, listen="127.0.0.1:0", provider="cpu", transport=kind))
    app.start()
    release = threading.Event()

    def requests() -> Iterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        release.wait(20)

    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        ask = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        stream = ask(requests())
        next(iter(stream))
        stopper = threading.Thread(target=app.stop, args=(30,))
        stopper.start()
        stopper.join(10)
        assert not stopper.is_alive()
        release.set()


def test_reflection_streams_that_ask_nothing_hold_nobody_up(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a thread: with all of them taken, the oldest makes room for whoever comes."""
    monkeypatch.setattr(reflection, "MOST_STREAMS", 3)
    ask = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    listing = reflection_pb2.ServerReflectionRequest(list_services="")
    release = threading.Event()

    def silent() -> Iterator[Any]:
        yield listing
        release.wait(30)

    # More than there are threads: 32 and a few.
    open_ones = [ask(silent()) for _ in range(50)]
    for _ in range(3):
        (answer,) = ask(iter([listing]), timeout=20)
        assert answer.list_services_response.service
    with pytest.raises(grpc.RpcError) as caught:
        list(open_ones[0])
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert check(channel, "") == SERVING
    release.set()


def test_too_many_watchers_are_refused_and_the_server_still_says_how_it_is(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MOST_WATCHERS", 3)
    stub = health_pb2_grpc.HealthStub(channel)
    streams = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
    assert [next(iter(stream)).status for stream in streams] == [SERVING] * 3
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert check(channel, "") == SERVING
    for stream in streams:
        stream.cancel()


def test_watchers_that_never_say_what_they_watch_count_like_the_others(
    channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would hold the threads, and who comes later would wait for one and hear nothing."""
    monkeypatch.setattr(health, "MOST_WATCHERS", 3)
    release = threading.Event()

    def silent() -> Iterator[Any]:
        release.wait(20)
        yield from ()

    method: Any = channel.stream_stream(f"/{health.SERVICE}/Watch", lambda b: b, lambda b: b)
    # More than there are threads: 132 in the pool.
    streams = [method(silent(), timeout=20) for _ in range(140)]
    wait_until(lambda: sum(not stream.is_active() for stream in streams) == 137)
    assert {s.code() for s in streams if not s.is_active()} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert check(channel, "") == SERVING
    release.set()
    wait_until(lambda: not any(stream.is_active() for stream in streams))
    silent_ones = [s for s in streams if s.code() is grpc.StatusCode.UNIMPLEMENTED]
    assert len(silent_ones) == 3
    assert "none was sent" in silent_ones[0].details()


def test_nobody_makes_it_serving_again_while_it_is_withdrawn() -> None:
    """A model that is loaded just then tells so between any two steps of the withdrawal."""
    told = Health(["a"])
    told.set({"": True, "a": True})

    class Interrupting:
        """The lock, at whose every release somebody says that all is well."""

        def __init__(self, lock: Any) -> None:
            self._lock, self._inside = lock, False

        def __enter__(self) -> None:
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self._lock.release()
            if not self._inside:
                self._inside = True
                told.set({"": True, "a": True})
                self._inside = False

    told._lock = Interrupting(told._lock)  # type: ignore[assignment]
    told.withdraw()
    assert set(told._statuses.values()) == {NOT_SERVING}


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_bytes_that_are_no_message_are_refused_and_do_not_hold_a_stop(tmp_path: Path, kind: str, version: str) -> None:
    """grpc.server's own parsing leaves such a stream open for ever, and then waits for it at a stop."""
    write_sum(tmp_path)
    app = App(Settings(repository=tmp_path, listen="127.0.0.1:0", provider="cpu", transport=kind))
    app.start()
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as caught:
                list(channel.stream_stream(path, lambda b: b, lambda b: b)(iter([b"\xff"]), timeout=20))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    stopper = threading.Thread(target=app.stop, args=(1,), daemon=True)
    stopper.start()
    stopper.join(10)
    assert not stopper.is_alive()
