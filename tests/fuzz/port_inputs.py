"""What a connection to the server's port may bring that is no call: by kind, each anew from random numbers."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Mapping
from random import Random

from hpack import Encoder

from fuzz.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    data,
    frame,
    headers,
    message,
    opened,
)
from fuzz.plain_bytes import mutate_bytes

PATHS = ("/inference.GRPCInferenceService/ModelInfer", "/grpc.health.v1.Health/Check")
"""On the fast transport: a call that its own loops serve, and one that grpc.server does."""
BOMB = gzip.compress(bytes(64 << 20))
"""64 KB that inflate a thousandfold."""
_ENCODINGS = ("gzip", "deflate", "identity", "zstd", "", "gzip, gzip", "x" * 300)

Make = Callable[[Random], bytes]


def _call(rng: Random, body: bytes, encoding: str = "") -> bytes:
    return opened() + headers(1, rng.choice(PATHS), encoding=encoding) + data(1, body)


def _random_frames(rng: Random) -> bytes:
    parts = [opened()]
    for _ in range(rng.randrange(1, 30)):
        payload = rng.randbytes(rng.choice((0, 1, 4, 5, 8, 100, 5000)))
        stream = rng.choice((0, 1, 2, 3, 2**31 - 1, 2**31 + 1))
        parts.append(frame(rng.randrange(12), payload, flags=rng.randrange(256), stream=stream))
    return b"".join(parts)


def _lying_lengths(rng: Random) -> bytes:
    kind = rng.choice((DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION))
    length = rng.choice((0, 1, 3, 7, 16385, 2**24 - 1))
    return opened() + frame(kind, rng.randbytes(16), stream=rng.choice((0, 1)), length=length)


def _windows(rng: Random) -> bytes:
    grow = frame(WINDOW_UPDATE, struct.pack(">I", rng.choice((0, 2**31 - 1))), stream=rng.choice((0, 1)))
    return opened() + headers(1, rng.choice(PATHS)) + grow * rng.choice((1, 2, 50))


def _settings(rng: Random) -> bytes:
    entry = struct.pack(">HI", rng.randrange(12), rng.choice((0, 1, 2**14 - 1, 2**24, 2**31, 2**32 - 1)))
    return opened(entry * rng.choice((1, 2, 2000))) + frame(SETTINGS, entry) * rng.choice((1, 100))


def _header_floods(rng: Random) -> bytes:
    """Headers without an end, in thousands of frames."""
    piece = Encoder().encode([("x-" + "a" * 50, "b" * 50)])
    flood = frame(CONTINUATION, rng.choice((b"", piece)), stream=1) * rng.choice((10, 4000))
    return opened() + headers(1, PATHS[0], flags=0) + flood


def _header_bombs(rng: Random) -> bytes:
    """One long entry of the dynamic table, referred to again and again by one byte each."""
    literal = b"\x40\x01a\x7f" + b"\x81\x1e" + b"v" * 4000
    block = literal + b"\xbe" * rng.choice((10, 10_000))
    return opened() + frame(HEADERS, block[:16000], flags=END_HEADERS, stream=1)


def _resets(rng: Random) -> bytes:
    """Calls that are opened and abandoned at once."""
    encoder, parts = Encoder(), [opened()]
    for index in range(rng.choice((10, 300))):
        stream = 2 * index + 1
        parts.append(headers(stream, rng.choice(PATHS), encoder=encoder))
        parts.append(frame(RST_STREAM, struct.pack(">I", 8), stream=stream))
    return b"".join(parts)


def _control_floods(rng: Random) -> bytes:
    one = rng.choice(
        (
            frame(PING, bytes(8)),
            frame(SETTINGS),
            frame(PRIORITY, struct.pack(">IB", 1, 0), stream=1),
            frame(PUSH_PROMISE, struct.pack(">I", 2), stream=1),
            frame(GOAWAY, bytes(8)),
        )
    )
    return opened() + one * rng.choice((1, 2000))


def _odd_headers(rng: Random) -> bytes:
    odd = {
        "grpc_timeout": rng.choice(("", "1", "-1S", "99999999999H", "1n", "aS")),
        "grpc_encoding": rng.choice(_ENCODINGS),
        "content_type": rng.choice(("text/html", "", "application/grpc+json", "a" * 5000)),
        "x_bin": rng.choice(("!!!", "AAAA", "\udcff\udcfe")),
        "x_long": "y" * rng.choice((1, 9000, 15000)),
    }
    chosen = rng.sample(sorted(odd), rng.randrange(1, 4))
    encoder = Encoder()
    fields = [(b":method", rng.choice((b"POST", b"GET", b"", b"\xff"))), (b":scheme", b"http")]
    fields += [(b":path", rng.choice((b"/", b"", b"*", b"/a/b/c", b"//", rng.randbytes(20), PATHS[0].encode())))]
    fields += [(b"te", b"trailers"), (b"content-type", b"application/grpc")]
    fields += [(n.replace("_", "-").encode(), odd[n].encode(errors="surrogateescape")) for n in chosen]
    rng.shuffle(fields)
    block: bytes = encoder.encode(fields)
    return opened() + frame(HEADERS, block, flags=END_HEADERS, stream=1) + data(1, message(b""))


def _prefixes(rng: Random) -> bytes:
    payload = rng.randbytes(rng.choice((0, 1, 100)))
    length = rng.choice((0, len(payload) + 1, 2**20 + 1, 2**31, 2**32 - 1, len(payload)))
    bodies = (
        message(payload, length=length),
        message(payload) * 3,
        message(payload)[: rng.randrange(6)],
        message(payload, compressed=rng.randrange(256)),
        b"",
    )
    return _call(rng, rng.choice(bodies))


def _compressed(rng: Random) -> bytes:
    payload = rng.choice((BOMB, mutate_bytes(rng, gzip.compress(b"x" * 1000)), rng.randbytes(50), b""))
    return _call(rng, message(payload, compressed=1), rng.choice(_ENCODINGS))


KINDS: Mapping[str, Make] = {
    "random bytes": lambda rng: rng.randbytes(rng.choice((1, 24, 300, 70_000))),
    "truncated prefaces": lambda rng: PREFACE[: rng.randrange(len(PREFACE))] + rng.randbytes(rng.randrange(3)),
    "other protocols": lambda rng: rng.choice(
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-x\r\n", b"\0" * 1000)
    ),
    "random frames": _random_frames,
    "lying lengths": _lying_lengths,
    "windows": _windows,
    "settings": _settings,
    "header floods": _header_floods,
    "header bombs": _header_bombs,
    "resets": _resets,
    "control floods": _control_floods,
    "odd headers": _odd_headers,
    "message prefixes": _prefixes,
    "compressed messages": _compressed,
    "mutated calls": lambda rng: mutate_bytes(rng, _call(rng, message(rng.randbytes(30)))),
    "garbage messages": lambda rng: _call(rng, message(rng.randbytes(rng.choice((1, 10, 1000))))),
}

CALLS = frozenset({"odd headers", "message prefixes", "compressed messages", "mutated calls", "garbage messages"})
"""Kinds that come far enough to be answered as calls are."""
