"""Clients that vanish, stall, dribble, flood and cut: they harm nobody else, and nothing is left of them."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.survival import METHOD, answers_rightly, body, leaves_nothing, surviving

from benchmarks.soak.http2 import ERRORS, Http2

RESETS = 3000
STALLED = 50


def test_clients_that_vanish_in_mid_call_leave_nothing(tmp_path: Path, kind: str) -> None:
    # The delay keeps their calls in the server when they go.
    with surviving(tmp_path, "--transport", kind, "--max-queue-delay", "0.02") as server:

        def vanish() -> None:
            for _ in range(20):
                with Http2(server.address) as client:
                    for _ in range(10):
                        client.open(METHOD, body(rows=3))
                    client.flush()
                    client.close(abruptly=True)

        leaves_nothing(server, vanish)


def test_thousands_of_streams_that_are_opened_and_reset_leave_nothing(tmp_path: Path, kind: str) -> None:
    """CVE-2023-44487: each call is taken back as soon as it is made, so that it never counts as open."""
    with surviving(tmp_path, "--transport", kind) as server:

        def flood() -> None:
            with suppress(*ERRORS), Http2(server.address) as client:
                for _ in range(RESETS):
                    client.reset(client.open(METHOD, body()))
                    client.flush()

        leaves_nothing(server, flood)


def test_a_flood_of_resets_does_not_keep_others_from_being_answered(tmp_path: Path, kind: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server, suppress(*ERRORS), Http2(server.address) as client:
        worst = 0.0
        for _ in range(20):
            for _ in range(RESETS // 20):
                client.reset(client.open(METHOD, body()))
            client.flush()
            started = time.monotonic()
            answers_rightly(server.address, calls=1, timeout=5)
            worst = max(worst, time.monotonic() - started)
        print(f"{kind}: the slowest of 20 callers in a flood of {RESETS} resets took {worst * 1e3:.0f} ms")


def test_streams_of_messages_that_are_abandoned_leave_nothing(tmp_path: Path, kind: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server:

        def abandon() -> None:
            with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                method: Any = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
                for number in range(300):
                    stream = method(iter([body(n) for n in range(5)]), timeout=20)
                    with suppress(grpc.RpcError, StopIteration):
                        for _ in range(number % 3):
                            next(stream)
                    stream.cancel()

        leaves_nothing(server, abandon)


def test_callers_that_take_no_answers_leave_nothing(tmp_path: Path, kind: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server:

        def stall() -> None:
            with Http2(server.address, window=0) as client:
                for _ in range(STALLED):
                    client.open(METHOD, body(rows=10))
                    client.flush()
                time.sleep(0.5)
                # Others do not wait for the one that does not read.
                answers_rightly(server.address, timeout=5)

        leaves_nothing(server, stall)


def test_a_slow_reader_gets_every_answer(tmp_path: Path, kind: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server, Http2(server.address, window=200) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for _ in range(20):
            client.open(METHOD, body(rows=50))
            client.flush()
        limit = time.monotonic() + 60
        while client.statuses.total() < 20:
            assert time.monotonic() < limit, client.statuses
            assert client.read(most=100)
            time.sleep(0.001)
        assert client.statuses == {"0": 20}


@pytest.mark.parametrize("part", ["connection", "request"])
def test_one_byte_at_a_time_keeps_nobody_else_waiting(tmp_path: Path, kind: str, part: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server:

        def drip() -> None:
            with suppress(*ERRORS), Http2(server.address) as client:
                stream = client.open(METHOD)
                client.flush()
                for byte in body(rows=5)[:5]:
                    if part == "request":
                        client.send(stream, bytes([byte]))
                    time.sleep(0.2)
                    answers_rightly(server.address, calls=3, timeout=5)

        def drip_connection() -> None:
            host, _, port = server.address.rpartition(":")
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as one:
                for byte in b"PRI * ":
                    one.sendall(bytes([byte]))
                    time.sleep(0.2)
                    answers_rightly(server.address, calls=3, timeout=5)

        leaves_nothing(server, drip if part == "request" else drip_connection)


def test_requests_that_never_end_leave_nothing_when_their_callers_go(tmp_path: Path, kind: str) -> None:
    with surviving(tmp_path, "--transport", kind) as server:

        def half() -> None:
            with Http2(server.address) as client:
                for _ in range(STALLED):
                    client.open(METHOD)
                    client.flush()
                time.sleep(0.3)
                answers_rightly(server.address, timeout=5)

        leaves_nothing(server, half)
