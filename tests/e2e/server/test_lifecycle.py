"""How a server comes and goes, as its callers, its load balancer and systemd see it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from grpc_health.v1 import health_pb2
from support.artifacts import write_sum
from support.open_inference import ask
from support.requests import infer_request, outputs_of
from support.servers import ServerProcess, call

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
KINDS = [["--transport", "standard"], ["--transport", "fast"], ["--workers", "2"]]
NAMES = ["standard", "fast", "workers"]
DELAY = 2.0


@contextmanager
def server(folder: Path, *arguments: str, **environment: str) -> Iterator[ServerProcess]:
    write_sum(folder / "models")
    with ServerProcess(folder / "models", folder, "--provider", "cpu", *arguments, **environment) as process:
        yield process


def infer(channel: grpc.Channel, value: float) -> bool:
    array = np.full((1, 2), value, np.float32)
    response = ask(channel, "ModelInfer", infer_request("sum", {"a": array, "b": array}))
    return bool((outputs_of(response)["total"] == 2 * value).all())


def own_channel(server: ServerProcess) -> grpc.Channel:
    return grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)])


def health(channel: grpc.Channel) -> int:
    path = "/grpc.health.v1.Health/Check"
    return int(call(channel, path, health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse).status)


class Watcher(threading.Thread):
    """Notes what a Watch stream says, and when."""

    def __init__(self, channel: grpc.Channel) -> None:
        super().__init__(daemon=True)
        method: Any = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", None, health_pb2.HealthCheckResponse.FromString
        )
        self._stream = method(health_pb2.HealthCheckRequest().SerializeToString(), timeout=60)
        self.said: list[tuple[int, float]] = []
        self.ended = 0.0

    def run(self) -> None:
        try:
            for answer in self._stream:
                self.said.append((answer.status, time.monotonic()))
        finally:
            self.ended = time.monotonic()


@pytest.mark.parametrize("arguments", KINDS, ids=NAMES)
def test_a_stop_is_said_first_and_calls_are_taken_until_everybody_has_heard(
    tmp_path: Path, arguments: list[str]
) -> None:
    with server(tmp_path, *arguments, "--pre-stop-delay", str(DELAY)) as running, own_channel(running) as old:
        assert infer(old, 1)
        assert health(old) == SERVING
        watcher = Watcher(old)
        watcher.start()
        limit = time.monotonic() + 10
        while not watcher.said:
            assert time.monotonic() < limit
            time.sleep(0.01)
        stopped = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        while len(watcher.said) < 2:
            assert time.monotonic() < limit
            time.sleep(0.01)
        # Not ready at once, for those who watch and for those who ask.
        assert [status for status, _ in watcher.said] == [SERVING, NOT_SERVING]
        heard = watcher.said[1][1]
        assert heard - stopped < DELAY / 2
        assert health(old) == NOT_SERVING
        assert not ask(old, "ServerReady", oip.ServerReadyRequest()).ready
        # But calls are taken and answered, on connections that are there and on new ones.
        answered = 0
        with own_channel(running) as new:
            while time.monotonic() < stopped + DELAY / 2:
                assert infer(old, answered)
                assert infer(new, answered)
                answered += 1
        assert answered
        assert running.process.wait(30) == 0
        assert time.monotonic() - stopped >= DELAY
        watcher.join(10)
        # The stream was held open for as long as there was something to hear.
        assert watcher.ended - heard > DELAY / 2
    log = running.log.read_text()
    assert log.index("stopping") < log.index("not ready; new calls are taken for 2 s more") < log.index("stopped")
    assert "Traceback" not in log


@pytest.mark.parametrize("arguments", KINDS, ids=NAMES)
def test_a_second_signal_cuts_the_delay_short(tmp_path: Path, arguments: list[str]) -> None:
    with server(tmp_path, *arguments, "--pre-stop-delay", "60") as running:
        assert running.address
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(Exception, match="timed out"):
            running.process.wait(1)
        assert running.stop() == 128 + signal.SIGTERM


@contextmanager
def manager(folder: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """What listens as systemd does, and the variables that it gives."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(path))
        one.settimeout(30)
        yield one, {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}


def rest(heard: socket.socket) -> list[str]:
    """What has been said and was not heard yet."""
    heard.setblocking(False)
    told = []
    with suppress(BlockingIOError):
        while True:
            told.append(heard.recv(1000).decode())
    return told


@pytest.mark.parametrize("arguments", KINDS, ids=NAMES)
def test_systemd_hears_when_it_is_ready_that_it_lives_and_when_it_stops(tmp_path: Path, arguments: list[str]) -> None:
    with manager(tmp_path) as (heard, variables), server(tmp_path, *arguments, **variables) as running:
        told: list[str] = []

        def hear_until(word: str) -> None:
            while not told or word not in told[-1].split("\n"):
                told.append(heard.recv(1000).decode())

        hear_until("READY=1")
        with own_channel(running) as channel:
            assert infer(channel, 3), "ready was said too early"
        told.clear()
        for _ in range(3):
            hear_until("WATCHDOG=1")
            told.append("")
        assert running.stop() == 0
        hear_until("STOPPING=1")
        assert told[-1].split("\n")[2] == "EXTEND_TIMEOUT_USEC=25000000"
        assert set(rest(heard)) <= {"WATCHDOG=1"}


@pytest.mark.parametrize("arguments", [[], ["--workers", "2"]], ids=["one", "workers"])
def test_systemd_never_hears_ready_from_a_server_that_cannot_start(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "models").mkdir()
    with manager(tmp_path) as (heard, variables):
        with ServerProcess(tmp_path / "models", tmp_path, *arguments, **variables) as process:
            assert process.process.wait(30) == 1
        assert not any("READY=1" in told for told in rest(heard))
