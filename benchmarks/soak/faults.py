"""What is done to the server while it is loaded: garbage, hang-ups, floods of resets, callers that stall, stops."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import numpy as np
from convserve_client.bench.request import METHOD
from convserve_proto import open_inference as oip

from benchmarks import affine_model
from benchmarks.soak.http2 import ERRORS, Http2

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_EMPTY_SETTINGS = bytes(3) + b"\x04" + bytes(5)
_RESETS = 300
_STALLED = 20
_HOLD = 2.0
"""Seconds that a caller stalls."""
_LONGEST_STOP = 1.0


@dataclass(frozen=True)
class Target:
    """The server that is to stand all this."""

    address: str
    pid: int
    random: Random


def noise(target: Target) -> None:
    """Bytes that mean nothing, as the whole or after the beginning of HTTP/2."""
    start = target.random.choice((b"", _PREFACE, _PREFACE + _EMPTY_SETTINGS, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    with _connected(target) as one:
        one.sendall(start + target.random.randbytes(target.random.randint(0, 5000)))
        with suppress(TimeoutError):
            one.recv(1000)


def half_and_reset(target: Target) -> None:
    """A connection that is cut with a TCP reset in the middle of its first words."""
    with _connected(target) as one:
        one.sendall(_PREFACE[: target.random.randint(0, len(_PREFACE))])
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(target: Target) -> None:
    """One byte at a time, slowly, and never a whole call."""
    with _connected(target) as one:
        for byte in _PREFACE[:10]:
            one.sendall(bytes([byte]))
            time.sleep(_HOLD / 10)


def rapid_reset(target: Target) -> None:
    """Calls that are taken back as soon as they are made (CVE-2023-44487), all on one connection."""
    with Http2(target.address) as client:
        body = _request()
        for _ in range(_RESETS):
            client.reset(client.open(METHOD, body))
            client.flush()


def no_answers_taken(target: Target) -> None:
    """Calls whose answers the caller leaves no room for; then it is gone."""
    with Http2(target.address, window=0) as client:
        for _ in range(_STALLED):
            client.open(METHOD, _request())
            client.flush()
        time.sleep(_HOLD)
        client.close(abruptly=True)


def half_requests(target: Target) -> None:
    """Calls that never come to their message; then the caller is gone."""
    with Http2(target.address) as client:
        for _ in range(_STALLED):
            client.open(METHOD)
            client.flush()
        time.sleep(_HOLD)


def stop_and_continue(target: Target) -> None:
    """The whole process stands still for a moment."""
    os.kill(target.pid, signal.SIGSTOP)
    try:
        time.sleep(target.random.uniform(0.1, _LONGEST_STOP))
    finally:
        os.kill(target.pid, signal.SIGCONT)


FAULTS: tuple[Callable[[Target], None], ...] = (
    noise,
    half_and_reset,
    drip,
    rapid_reset,
    no_answers_taken,
    half_requests,
    stop_and_continue,
)


def inflict(target: Target) -> str:
    """One of them at random; gives its name. The server may hang up on such callers."""
    fault = target.random.choice(FAULTS)
    with suppress(*ERRORS):
        fault(target)
    return fault.__name__.replace("_", " ")


def _connected(target: Target) -> socket.socket:
    host, _, port = target.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=1.0)


def _request() -> bytes:
    """Few rows: the queue shall not fill up, and callers be refused."""
    values = np.zeros((4, affine_model.WIDTH), np.float32)
    request = oip.ModelInferRequest(model_name=affine_model.NAME)
    request.inputs.add(name=affine_model.INPUT, datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    content: bytes = request.SerializeToString()
    return content
