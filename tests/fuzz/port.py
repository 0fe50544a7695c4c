"""Garbage on a real server's port: python -m fuzz.port --connections 5000."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import grpc
import numpy as np
from convserve_proto import open_inference as oip
from convserve_server.calls import Code
from support.artifacts import write_sum
from support.requests import SERVICE, infer_request
from support.servers import call, running_app

from fuzz.frames import statuses
from fuzz.port_inputs import CALLS, KINDS
from fuzz.running import resident

MAX_MESSAGE_BYTES = 1 << 20
PATIENCE = 0.3
"""Seconds without a word from the server after which a connection is closed."""


@dataclass
class Seen:
    """What came of the connections to one server."""

    connections: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    descriptors: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    """MB."""

    def measure(self) -> None:
        """Note what this process holds now."""
        self.descriptors.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
        self.threads.append(threading.active_count())
        self.memory.append(resident())


def throw(port: int, connections: int, seed: int = 0, seen: Seen | None = None) -> Seen:
    """Open so many connections, one after the other, each with another piece of garbage."""
    seen, rng, kinds = seen or Seen(), Random(seed), list(KINDS)
    started = time.monotonic()
    for index in range(connections):
        kind = kinds[index % len(kinds)]
        received = exchanged(port, KINDS[kind](rng), is_call=kind in CALLS)
        seen.statuses.update(Code(number).name if number in range(17) else str(number) for number in statuses(received))
        seen.connections += 1
    seen.seconds += time.monotonic() - started
    return seen


def exchanged(port: int, sent: bytes, *, is_call: bool) -> bytes:
    """What the server says to these bytes, until it closes, or has answered a call, or has no more to say."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        # A server that closes while it is being sent to is within its rights.
        with suppress(OSError):
            connection.sendall(sent)
            if not is_call:
                connection.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while piece := connection.recv(1 << 16):
                received += piece
                if is_call and next(statuses(bytes(received)), None) is not None:
                    break
    return bytes(received)


def still_serves(port: int) -> bool:
    """Whether a normal caller is answered rightly."""
    numbers = np.ones((1, 2), np.float32)
    request = infer_request("sum", {"a": numbers, "b": numbers})
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        response = call(channel, SERVICE + "ModelInfer", request, oip.ModelInferResponse)
    return len(response.outputs) == 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.port", description=__doc__)
    parser.add_argument("--connections", type=int, default=2000, help="to each transport (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    for kind in ("fast", "standard"):
        with tempfile.TemporaryDirectory() as folder:
            write_sum(Path(folder))
            with running_app(Path(folder), transport=kind, max_message_bytes=MAX_MESSAGE_BYTES) as app:
                seen = throw(app.port, options.connections // 10, options.seed)
                seen.measure()
                throw(app.port, options.connections - seen.connections, options.seed + 1, seen)
                seen.measure()
                print(f"{kind}: {seen}; serves: {still_serves(app.port)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
