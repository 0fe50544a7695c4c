"""A convserve server in a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 60.0
STOP_SECONDS = 30.0


class ServerFailed(Exception):
    """It did not become ready, or did not stop cleanly; the message ends with what it logged."""


@dataclass(frozen=True)
class Running:
    """A server that is ready."""

    target: str
    pid: int
    start_seconds: float


@contextmanager
def serving(repository: Path, folder: Path) -> Iterator[Running]:
    """A server on a free port of this machine, ready; stopped by SIGTERM in the end. Its log goes to `folder`."""
    port_file, log = folder / "port", folder / "server.log"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "convserve_server", "--repository", str(repository)]
    command += ["--listen", "127.0.0.1:0", "--port-file", str(port_file)]
    started = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        port = _wait_for_port(process, port_file, log)
        yield Running(f"127.0.0.1:{port}", process.pid, time.monotonic() - started)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise ServerFailed(f"the server did not stop within {STOP_SECONDS:g} s:\n{log.read_text()}") from None
    if code:
        raise ServerFailed(f"the server exited with {code}:\n{log.read_text()}")


def _wait_for_port(process: subprocess.Popen[bytes], port_file: Path, log: Path) -> int:
    end = time.monotonic() + READY_SECONDS
    while not port_file.exists():
        if process.poll() is not None:
            raise ServerFailed(f"the server exited with {process.returncode} before it was ready:\n{log.read_text()}")
        if time.monotonic() > end:
            raise ServerFailed(f"the server was not ready within {READY_SECONDS:g} s:\n{log.read_text()}")
        time.sleep(0.05)
    return int(port_file.read_text())
