"""HTTP/2 by hand: frames as bytes, whether they are right or not, and what a server's bytes say."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

from hpack import Decoder, Encoder, HPACKError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED = 0x1, 0x4, 0x8
GRPC_STATUS = b"grpc-status"

Headers = Iterable[tuple[str | bytes, str | bytes]]


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0, length: int | None = None) -> bytes:
    """One frame; ``length`` is what its header says where that is not the truth."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def opened(settings: bytes = b"") -> bytes:
    """What a client sends first."""
    return PREFACE + frame(SETTINGS, settings)


def headers(
    stream: int, path: str, *, encoder: Encoder | None = None, flags: int = END_HEADERS, encoding: str = ""
) -> bytes:
    """The headers of a gRPC call whose messages have that ``encoding``."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    if encoding:
        fields.append(("grpc-encoding", encoding))
    return frame(HEADERS, (encoder or Encoder()).encode(fields), flags=flags, stream=stream)


def message(payload: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A gRPC message with its prefix; ``length`` is what that says where it is not the truth."""
    return struct.pack(">BI", compressed, len(payload) if length is None else length) + payload


def data(stream: int, payload: bytes, *, flags: int = END_STREAM, most: int = 16384) -> bytes:
    """A payload in frames of the size that every server takes."""
    pieces = [payload[at : at + most] for at in range(0, len(payload), most)] or [b""]
    last = len(pieces) - 1
    return b"".join(frame(DATA, p, flags=flags if i == last else 0, stream=stream) for i, p in enumerate(pieces))


def statuses(received: bytes) -> Iterator[int]:
    """The numbers of the gRPC statuses in what a server has sent."""
    decoder = Decoder()
    at = 0
    while at + 9 <= len(received):
        size = int.from_bytes(received[at : at + 3], "big")
        kind, flags = received[at + 3], received[at + 4]
        payload = received[at + 9 : at + 9 + size]
        at += 9 + size
        if kind != HEADERS or flags & PADDED or len(payload) != size:
            continue
        try:
            fields = decoder.decode(payload, raw=True)
        except HPACKError:
            return
        yield from (int(value) for name, value in fields if name == GRPC_STATUS)
