"""Real servers: in this process for calls, in a process of their own for what only a process can show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from convserve_server.app import App
from convserve_server.settings import Settings
from google.protobuf.message import Message


@contextmanager
def running_app(repository: Path, **settings: Any) -> Iterator[App]:
    """A started server of this process on a free loopback port."""
    app = App(Settings(repository=repository, listen="127.0.0.1:0", provider="cpu", **settings))
    app.start()
    try:
        yield app
    finally:
        app.stop(grace=2)


def call(channel: grpc.Channel, path: str, request: Message | bytes, response: Any, timeout: float = 20) -> Any:
    """Call a unary method by its path."""
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    return channel.unary_unary(path, lambda b: b, response.FromString)(payload, timeout=timeout)


class ServerProcess:
    """python -m convserve_server in a process of its own, on a free loopback port."""

    def __init__(self, repository: Path, folder: Path, *arguments: str, **environment: str) -> None:
        self._port_file = folder / f"port-{time.monotonic_ns()}"
        self.log = folder / f"log-{time.monotonic_ns()}"
        command = [sys.executable, "-m", "convserve_server", "--repository", str(repository)]
        command += ["--listen", "127.0.0.1:0", "--port-file", str(self._port_file), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environment)

    @property
    def address(self) -> str:
        """HOST:PORT, once the server is ready."""
        limit = time.monotonic() + 30
        while not self._port_file.exists():
            assert self.process.poll() is None, f"the server ended: {self.log.read_text()}"
            assert time.monotonic() < limit, "the server did not become ready"
            time.sleep(0.02)
        return f"127.0.0.1:{self._port_file.read_text().strip()}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *details: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
