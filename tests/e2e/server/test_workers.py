"""Several processes on one port, seen from outside: a crash, a drain, a port that is taken, a parent that is gone."""

from __future__ import annotations

import re
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from os import getpid, kill
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.settings import Settings
from convserve_server.workers import supervisor
from convserve_server.workers.restarts import RestartPolicy
from convserve_server.workers.supervisor import Supervisor
from support.artifacts import write_sum
from support.processes import alive, connections_to
from support.servers import ServerProcess, call
from support.worker_targets import crash, ignore_orders

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="--workers is for Linux")

INFER = "/inference.GRPCInferenceService/ModelInfer"


def request(value: float) -> Any:
    message = oip.ModelInferRequest(model_name="sum")
    for name in ("a", "b"):
        message.inputs.add(name=name, datatype="FP32", shape=[1, 2])
        message.raw_input_contents.append(np.full((1, 2), value, np.float32).tobytes())
    return message


def infer(channel: grpc.Channel, value: float) -> float:
    reply = call(channel, INFER, request(value), oip.ModelInferResponse)
    return float(np.frombuffer(reply.raw_output_contents[0], np.float32)[0])


@contextmanager
def server(folder: Path, *arguments: str) -> Iterator[ServerProcess]:
    if not (folder / "models").exists():
        write_sum(folder / "models")
    flags = ("--workers", "2", "--provider", "cpu", *arguments)
    with ServerProcess(folder / "models", folder, *flags) as process:
        yield process


def processes(server: ServerProcess) -> dict[int, int]:
    """Number of each worker to its newest process."""
    found = re.findall(r"worker (\d+) started \(process (\d+)\)", server.log.read_text())
    return {int(number): int(process) for number, process in found}


def until(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit, f"it never happened that {what}"
        time.sleep(0.02)


@contextmanager
def connected(server: ServerProcess) -> Iterator[list[grpc.Channel]]:
    """Channels with a connection each, so many that every worker has at least two of them."""
    port = int(server.address.rpartition(":")[2])
    with ExitStack() as stack:
        channels: list[grpc.Channel] = []
        while min(connections_to(process, port) for process in processes(server).values()) < 2:
            assert len(channels) < 64, "the kernel gives one of the workers no connections"
            own = [("grpc.use_local_subchannel_pool", 1)]
            channels.append(stack.enter_context(grpc.insecure_channel(server.address, options=own)))
            assert infer(channels[-1], 1) == 2
        yield channels


class Load:
    """Each channel calls again and again, checks every answer, and goes on after an error."""

    def __init__(self, channels: list[grpc.Channel]) -> None:
        self.answers: Counter[int] = Counter()
        self.errors: list[tuple[int, str]] = []
        self.wrong: list[float] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n, c)) for n, c in enumerate(channels)]

    def _work(self, number: int, channel: grpc.Channel) -> None:
        value = float(number * 100_000)
        while not self._stop.is_set():
            value += 1
            try:
                if infer(channel, value) != 2 * value:
                    self.wrong.append(value)
                self.answers[number] += 1
            except grpc.RpcError as error:
                self.errors.append((number, error.code().name))
                time.sleep(0.05)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)


def test_a_worker_that_is_killed_takes_only_its_own_calls_with_it_and_is_replaced(tmp_path: Path) -> None:
    with server(tmp_path) as running, connected(running) as channels:
        port = int(running.address.rpartition(":")[2])
        before = processes(running)
        with Load(channels) as load:
            until(lambda: len(load.answers) == len(channels), "every channel was answered")
            hit = connections_to(before[1], port)
            kill(before[1], signal.SIGKILL)
            until(lambda: processes(running)[1] != before[1], "the worker was started again")
            until(lambda: running.log.read_text().count("worker 1: listening") == 2, "it listens")
            seen = dict(load.answers)
            until(lambda: all(load.answers[n] > seen[n] for n in seen), "every channel was answered after it")
            assert len({number for number, _ in load.errors}) == hit
            assert {code for _, code in load.errors} == {"UNAVAILABLE"}
            assert load.wrong == []
        assert processes(running)[2] == before[2]
        assert running.stop() == 0
    log = running.log.read_text()
    assert "worker 1 was ended by SIGKILL; another one is started in 0.1 s" in log
    # A worker that joins others listens only when it can answer.
    loaded, listens = (
        [m.start() for m in re.finditer(rf"worker 1: {word}", log)][1] for word in ("serving sum", "listening on")
    )
    assert loaded < listens


def test_ready_means_that_every_worker_has_loaded(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert running.address
        log = running.log.read_text()
        assert running.stop() == 0
    assert re.search(r"INFO +ready\n", running.log.read_text())
    before = log.partition(" ready\n")[0]
    assert "worker 1: serving sum version 1" in before
    assert "worker 2: serving sum version 1" in before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drain_under_load_loses_no_accepted_call_and_exits_with_0(tmp_path: Path, number: int) -> None:
    with server(tmp_path) as running, connected(running) as channels, Load(channels) as load:
        until(lambda: len(load.answers) == len(channels), "every channel was answered")
        assert running.stop(number) == 0, running.log.read_text()
        until(lambda: load.errors, "callers notice")
    # UNAVAILABLE: never accepted. CANCELLED: its first byte came when the door was closing; both may be retried.
    assert {code for _, code in load.errors} <= {"UNAVAILABLE", "CANCELLED"}
    assert load.wrong == []
    log = running.log.read_text()
    assert "Traceback" not in log
    assert log.count(": stopped") == 2


def test_calls_that_wait_on_any_worker_at_the_signal_are_answered(tmp_path: Path) -> None:
    with server(tmp_path, "--max-queue-delay", "1") as running:
        # Connecting would wait for company as well, so there is no check of who has which connection.
        own = [("grpc.use_local_subchannel_pool", 1)]
        with ExitStack() as stack:
            channels = [stack.enter_context(grpc.insecure_channel(running.address, options=own)) for _ in range(8)]
            for channel in channels:
                grpc.channel_ready_future(channel).result(10)
            calls: list[Any] = [
                channel.unary_unary(INFER, lambda m: m.SerializeToString(), oip.ModelInferResponse.FromString)
                for channel in channels
            ]
            held = [infer.future(request(n), timeout=20) for n, infer in enumerate(calls)]
            time.sleep(0.4)
            running.process.send_signal(signal.SIGTERM)
            values = [float(np.frombuffer(h.result().raw_output_contents[0], np.float32)[0]) for h in held]
        assert values == [2.0 * n for n in range(8)]
        assert running.process.wait(20) == 0


def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    with server(tmp_path, "--grace", "60", "--max-queue-delay", "50") as running:
        with grpc.insecure_channel(running.address) as channel:
            method: Any = channel.unary_unary(INFER, lambda m: m.SerializeToString(), lambda b: b)
            held = method.future(request(1), timeout=60)
            time.sleep(0.5)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(1.0)
            assert running.process.poll() is None, "the accepted call was not waited for"
            assert running.stop() == 128 + signal.SIGTERM
            assert held.code() is grpc.StatusCode.UNAVAILABLE
        assert not any(alive(process) for process in processes(running).values())


def test_one_worker_may_be_told_to_end_and_is_replaced(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        assert running.address
        before = processes(running)
        kill(before[2], signal.SIGTERM)
        until(lambda: processes(running)[2] != before[2], "another one takes its place")
        assert running.stop() == 0
    assert "worker 2 ended unasked; another one takes its place" in running.log.read_text()


def test_workers_end_when_their_parent_is_gone(tmp_path: Path) -> None:
    with server(tmp_path) as running:
        port = int(running.address.rpartition(":")[2])
        workers = processes(running).values()
        running.process.kill()
        running.process.wait(10)
        until(lambda: not any(alive(process) for process in workers), "they end")
    with closing(socket.socket()) as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_a_port_in_use_is_an_error_even_when_it_is_used_by_workers(tmp_path: Path) -> None:
    with server(tmp_path) as first:
        address = first.address
        for flags in ((), ("--workers", "1")):
            with server(tmp_path, "--listen", address, *flags) as second:
                assert second.process.wait(30) == 1
            assert f"cannot listen on {address}: the port is in use" in second.log.read_text()
        with grpc.insecure_channel(address) as channel:
            assert infer(channel, 3) == 6
        assert first.stop() == 0


def test_a_worker_that_cannot_start_is_a_sentence_and_no_loop(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with server(tmp_path) as running:
        assert running.process.wait(30) == 1
    log = running.log.read_text()
    assert "convserve-server: there is no model in" in log
    assert "Traceback" not in log
    assert log.count(" started (process") == 2


def test_callers_cannot_load_models_of_one_worker_alone(tmp_path: Path) -> None:
    with server(tmp_path, "--repository-mode", "explicit") as running:
        assert running.process.wait(30) == 1
    assert "--repository-mode explicit" in running.log.read_text()


def test_metrics_and_probes_speak_for_all_workers_and_counts_never_fall(tmp_path: Path) -> None:
    with server(tmp_path, "--metrics", "127.0.0.1:0") as running, connected(running) as channels:
        found = re.search(r"INFO +metrics at port (\d+)", running.log.read_text())
        assert found
        address = f"http://127.0.0.1:{found[1]}"

        def read(path: str) -> str:
            with urllib.request.urlopen(address + path, timeout=10) as answer:
                return str(answer.read().decode())

        def rows() -> float:
            (line,) = [x for x in read("/metrics").splitlines() if x.startswith("convserve_rows_total{")]
            return float(line.rpartition(" ")[2])

        assert read("/readyz") == "ready\n"
        before = rows()
        assert before == len(channels)
        for channel in channels:
            infer(channel, 1)
        assert rows() == before + len(channels)
        kill(processes(running)[1], signal.SIGKILL)
        until(lambda: running.log.read_text().count("worker 1: listening") == 2, "it was started again")
        assert rows() == before + len(channels)
        assert running.stop() == 0


def test_workers_without_a_model_are_not_ready_whatever_their_parent_is_asked(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with server(tmp_path, "--metrics", "127.0.0.1:0", "--repository-mode", "poll") as running:
        until(lambda: re.search(r"INFO +ready", running.log.read_text()) is not None, "they serve")
        found = re.search(r"INFO +metrics at port (\d+)", running.log.read_text())
        assert found
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/readyz", timeout=10)
        with caught.value as answer:
            assert answer.code == 503
        assert running.stop() == 0


def test_a_worker_that_cannot_start_again_is_tried_until_it_can(tmp_path: Path) -> None:
    with server(tmp_path) as running, connected(running) as channels:
        models = tmp_path / "models"
        models.rename(tmp_path / "away")
        kill(processes(running)[1], signal.SIGKILL)
        until(lambda: "worker 1: there is no model in" in running.log.read_text(), "it cannot start")
        (tmp_path / "away").rename(models)
        until(lambda: running.log.read_text().count("worker 1: listening") == 2, "it serves again")
        for channel in channels:
            grpc.channel_ready_future(channel).result(20)
            assert infer(channel, 4) == 8
        assert running.stop() == 0


def test_a_worker_that_does_not_drain_is_ended_and_the_exit_code_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "AFTER_GRACE", 0.2)
    hanging = Supervisor(Settings(workers=2, listen="127.0.0.1:0", grace=0.1), target=ignore_orders)

    def signal_once_ready() -> None:
        until(lambda: hanging._ready, "all serve")
        kill(getpid(), signal.SIGTERM)

    signaller = threading.Thread(target=signal_once_ready)
    signaller.start()
    assert hanging.run() == 1
    signaller.join()
    assert "worker 1 does not end within the grace" in caplog.text


def test_a_crash_loop_ends_in_an_error(caplog: pytest.LogCaptureFixture) -> None:
    crashing = Supervisor(
        Settings(workers=2, listen="127.0.0.1:0"), target=crash, policy=RestartPolicy(first_delay=0.01, limit=3)
    )
    assert crashing.run() == 1
    assert re.search(r"worker \d was ended by SIGABRT, 3 times in a row: giving up", caplog.text)
