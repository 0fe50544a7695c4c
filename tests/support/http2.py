"""A client of plain HTTP/2 frames, for what no gRPC library would do: half messages, no reading, pings without end."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

_HEAD = 9
"""Bytes before the content of a frame."""


class RawClient:
    """One connection. Nothing is read but in wait_for()."""

    def __init__(self, port: int, *, window: int | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        if window is not None:
            self.http.local_settings.initial_window_size = window
        self.http.initiate_connection()
        self.events: list[Any] = []
        self._unread = b""
        self.closed = False
        self.flush()

    def flush(self) -> None:
        """Send what the frames made so far come to."""
        try:
            self.socket.sendall(self.http.data_to_send())
        except OSError:
            self.closed = True

    def open_call(self, path: str, *, end: bool = False, metadata: tuple[tuple[str, str], ...] = ()) -> int:
        """Send the headers of a call; gives its stream."""
        stream = self.http.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "test"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *metadata,
        ]
        self.http.send_headers(stream, headers, end_stream=end)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send data as it is."""
        self.http.send_data(stream, data, end_stream=end)
        self.flush()

    def send_message(self, stream: int, payload: bytes) -> None:
        """Send a whole message, the last one."""
        self.send(stream, struct.pack(">BI", 0, len(payload)) + payload, end=True)

    def ping(self) -> None:
        """Send a ping."""
        self.http.ping(b"convserv")
        self.flush()

    def wait_for(self, condition: Callable[[], object], seconds: float = 20) -> None:
        """Read until something is so; fails when it does not come."""
        limit = time.monotonic() + seconds
        self.socket.settimeout(0.05)
        while not condition():
            assert time.monotonic() < limit, f"it never happened; heard: {self.events}"
            self._read()

    def _read(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            self.closed = True
            time.sleep(0.01)
            return
        # Frame by frame: what came before a frame that is not allowed, as one after a goodbye, is heard all the same.
        self._unread += data
        while (frame := self._next_frame()) is not None:
            try:
                self.events += self.http.receive_data(frame)
            except h2.exceptions.ProtocolError as error:
                self.events.append(error)
        self.flush()

    def _next_frame(self) -> bytes | None:
        """A frame begins with 3 bytes of its length without its head, which has 9 (RFC 9113, section 4.1)."""
        size = _HEAD + int.from_bytes(self._unread[:3], "big")
        if len(self._unread) < max(size, _HEAD):
            return None
        frame, self._unread = self._unread[:size], self._unread[size:]
        return frame

    def status(self, stream: int) -> tuple[int, str] | None:
        """Code and sentence that a call was answered with, once it was."""
        for event in self.events:
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived) and event.stream_id == stream:
                headers: dict[Any, Any] = dict(event.headers or ())
                if "grpc-status" in headers:
                    return int(headers["grpc-status"]), headers.get("grpc-message", "")
        return None

    def reset(self, stream: int) -> bool:
        """Whether the server has reset a call."""
        return any(isinstance(e, h2.events.StreamReset) and e.stream_id == stream for e in self.events)

    @property
    def goodbye(self) -> bytes | None:
        """What the server said as it closed the connection, once it has."""
        for event in self.events:
            if isinstance(event, h2.events.ConnectionTerminated):
                return event.additional_data or b""
        return None

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
