"""The log of a server in a process of its own: one JSON object a line, and where its threads are when it is asked."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import grpc
from support.artifacts import write_sum
from support.open_inference import refused
from support.requests import infer_request
from support.servers import ServerProcess
from support.transports import wait_until


def test_every_line_is_an_object_and_a_request_cannot_add_one(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    arguments = ("--provider", "cpu", "--log-format", "json", "--log-requests", "--grace", "1")
    with ServerProcess(tmp_path / "models", tmp_path, *arguments) as server:
        with grpc.insecure_channel(server.address) as channel:
            refused(channel, "ModelInfer", infer_request('x\n{"level": "error"}', {}, id="1\u2028\x1b[2K"))
        assert server.stop() == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    [request] = [line for line in lines if line["message"] == "request"]
    assert request["model"] == 'x\\n{"level": "error"}'
    assert request["id"] == "1\\u2028\\x1b[2K"
    assert request["code"] == "NOT_FOUND"
    assert lines[-1]["message"] == "stopped"


def test_what_keeps_a_server_from_starting_is_an_object_too(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with ServerProcess(tmp_path / "models", tmp_path, "--provider", "cpu", "--log-format", "json") as server:
        assert server.process.wait(30) == 1
    last = json.loads(server.log.read_text().splitlines()[-1])
    assert last["level"] == "critical"
    assert "there is no model in" in last["message"]


def test_a_signal_shows_where_each_thread_is_and_the_server_goes_on(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    with ServerProcess(tmp_path / "models", tmp_path, "--provider", "cpu", "--grace", "1") as server:
        assert server.address
        server.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "most recent call first" in server.log.read_text())
        assert server.stop() == 0
    assert "completion_queue.py" in server.log.read_text()
