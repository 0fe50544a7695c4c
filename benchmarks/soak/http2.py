"""An HTTP/2 client that does what no gRPC library lets one do: reset at once, take no answers, send half a request."""

from __future__ import annotations

import socket
import struct
from collections import Counter

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.settings import SettingCodes, Settings

_PATIENCE = 10.0


class Http2:
    """One connection, without TLS. Errors of the socket are the caller's: a server may hang up on such a client."""

    def __init__(self, address: str, *, window: int = 65_535) -> None:
        """``window`` is how many bytes of each answer the server may send before it is allowed more."""
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=_PATIENCE)
        self._address = address
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self._h2.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._h2.initiate_connection()
        self.statuses: Counter[str] = Counter()
        """What streams have ended with: a gRPC status code, or "reset"."""
        self.flush()

    def open(self, path: str, body: bytes | None = None) -> int:
        """Begin a call; without a body its headers are all that is ever sent. Not flushed."""
        stream = self._h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", self._address),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ]
        self._h2.send_headers(stream, headers)
        if body is not None:
            self._h2.send_data(stream, struct.pack(">BI", 0, len(body)) + body, end_stream=True)
        return stream

    def send(self, stream: int, data: bytes) -> None:
        """More of a request."""
        self._h2.send_data(stream, data)
        self.flush()

    def reset(self, stream: int) -> None:
        """Take a call back. Not flushed."""
        self._h2.reset_stream(stream, error_code=8)

    def flush(self) -> None:
        """Send what is waiting to be sent."""
        self.socket.sendall(self._h2.data_to_send())

    def room(self) -> bool:
        """Whether the server lets one more stream be opened."""
        return self._h2.open_outbound_streams < self._h2.remote_settings.max_concurrent_streams

    def read(self, most: int = 65_536) -> bool:
        """Wait for something, and take in at ``most`` so many bytes of it; False once the server has hung up."""
        received = self.socket.recv(most)
        if not received:
            return False
        for event in self._h2.receive_data(received):
            if isinstance(event, h2.events.DataReceived) and event.stream_id:
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                self.statuses["reset"] += 1
            elif isinstance(event, (h2.events.TrailersReceived, h2.events.ResponseReceived)):
                self.statuses.update(bytes(v).decode() for k, v in event.headers or () if bytes(k) == b"grpc-status")
        self.flush()
        return True

    def close(self, *, abruptly: bool = False) -> None:
        """Hang up; ``abruptly`` with a TCP reset."""
        if abruptly:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *details: object) -> None:
        self.socket.close()


ERRORS = (OSError, h2.exceptions.ProtocolError)
"""What a server may answer such a client with."""
