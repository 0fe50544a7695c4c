"""Servers in processes of their own: started, waited for until the first right answer, always stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from benchmarks import figures

_READY_SECONDS = 120.0
_STOP_SECONDS = 15.0
_LOOK = 0.01
_LAST_WORDS = 1500


class ServerFailed(Exception):
    """It did not start, answer or stay; the message ends with what it printed."""


@dataclass(frozen=True)
class Server:
    """How to start one. ``command`` is called with HOST:PORT and a free port for whatever else it wants to serve."""

    name: str
    command: Callable[[str, int], list[str]]
    environment: Callable[[str, int], Mapping[str, str]] = field(default=lambda listen, spare: {})
    note: str = ""


@dataclass(frozen=True)
class Question:
    """A unary call and what makes its answer right."""

    method: str
    body: bytes
    right: Callable[[bytes], bool]


@dataclass(frozen=True)
class Running:
    """A server that has answered rightly."""

    address: str
    pid: int
    ready_seconds: float
    """From the start of its process to its first right answer."""
    spare: int = 0
    """The free port that its command was given."""

    def pids(self) -> list[int]:
        """Its process and those that it started."""
        return figures.tree(self.pid)


@contextmanager
def running(server: Server, question: Question, log: Path) -> Iterator[Running]:
    """A server for as long as the block lasts. Raises ServerFailed; whatever happens, its processes are ended."""
    port, spare = _free_ports(2)
    address = f"127.0.0.1:{port}"
    environment = {**os.environ, **server.environment(address, spare)}
    # Each starts as servers usually do: with the bytecode that an earlier start has left.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("wb") as output:
        started = time.monotonic()
        # In a group of its own, so that processes that it starts can be ended with it.
        process = subprocess.Popen(
            server.command(address, spare), stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        _wait(server, process, address, question, log)
        try:
            yield Running(address, process.pid, time.monotonic() - started, spare)
        finally:
            # Whatever else has gone wrong then comes of it.
            if process.poll() is not None:
                raise ServerFailed(f"{server.name} ended with {process.returncode} under load: {_end_of(log)}")
    finally:
        _stop(process)


def ask(address: str, question: Question, seconds: float = 10.0) -> bytes:
    """The reply; raises ServerFailed where there is none or it is wrong."""
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        try:
            call: Any = channel.unary_unary(question.method)
            reply: bytes = call(question.body, timeout=seconds)
        except grpc.RpcError as error:
            raise ServerFailed(f"{address} answers {error.code().name}: {error.details()}") from None
    if not question.right(reply):
        raise ServerFailed(f"{address} answers {question.method} wrongly")
    return reply


def _wait(server: Server, process: subprocess.Popen[bytes], address: str, question: Question, log: Path) -> None:
    host, port = address.rsplit(":", 1)
    limit = time.monotonic() + _READY_SECONDS
    problem = "nobody listens"
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise ServerFailed(f"{server.name} ended with {process.returncode}: {_end_of(log)}")
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            try:
                ask(address, question)
            except ServerFailed as error:
                problem = str(error)
            else:
                return
        time.sleep(_LOOK)
    raise ServerFailed(f"{server.name} was not ready after {_READY_SECONDS:.0f} s ({problem}): {_end_of(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Its group is ours alone; none of it may go on and disturb what is measured next.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-_LAST_WORDS:].strip()
