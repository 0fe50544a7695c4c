"""Mutations of pictures that keep what decoders check first: a PNG's checksums, a RIFF's length, a JPEG's segments."""

from __future__ import annotations

import struct
import zlib
from random import Random

from fuzz.plain_bytes import mutate_bytes

_PNG = b"\x89PNG\r\n\x1a\n"
_STARTS = (_PNG, b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"RIFF")


def is_picture(data: bytes) -> bool:
    """True for bytes that begin as one of the formats that the server reads."""
    return data.startswith(_STARTS)


def mutate_picture(rng: Random, data: bytes) -> bytes:
    """One change of a part of the picture, or of its bytes."""
    if rng.random() < 0.3:
        return mutate_bytes(rng, data)
    if data.startswith(_PNG):
        return _mutate_png(rng, data)
    if data.startswith(b"\xff\xd8"):
        return _mutate_jpeg(rng, data)
    head = rng.randrange(4, 64)
    changed = data[:4] + mutate_bytes(rng, data[4:head]) + data[head:]
    if data.startswith(b"RIFF"):
        changed = changed[:4] + struct.pack("<I", (len(changed) - 8) % 2**32) + changed[8:]
    return changed


def _mutate_png(rng: Random, data: bytes) -> bytes:
    """Chunks changed, moved, doubled or taken out; each with a checksum that holds."""
    chunks = []
    at = len(_PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return mutate_bytes(rng, data)
    place = rng.randrange(len(chunks))
    kind, content = chunks[place]
    match rng.randrange(5):
        case 0:
            del chunks[place]
        case 1:
            chunks.insert(place, chunks[place])
        case 2:
            chunks.insert(rng.randrange(len(chunks)), chunks.pop(place))
        case 3 if kind == b"IDAT":
            chunks[place] = (kind, zlib.compress(mutate_bytes(rng, _inflated(content))))
        case _:
            chunks[place] = (kind, mutate_bytes(rng, content))
    parts = [_PNG]
    for kind, content in chunks:
        crc = zlib.crc32(kind + content)
        parts.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc))
    return b"".join(parts)


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(content, 1 << 16)
    except zlib.error:
        return content


def _mutate_jpeg(rng: Random, data: bytes) -> bytes:
    """One segment changed, moved, doubled or taken out; its length is right."""
    segments = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, at + 2)
        segments.append((data[at + 1], data[at + 4 : at + 2 + size]))
        at += 2 + size
    rest = data[at:]
    if not segments or rng.random() < 0.3:
        return data[:at] + mutate_bytes(rng, rest)
    place = rng.randrange(len(segments))
    match rng.randrange(4):
        case 0:
            del segments[place]
        case 1:
            segments.insert(place, segments[place])
        case 2:
            segments.insert(rng.randrange(len(segments)), segments.pop(place))
        case _:
            segments[place] = (segments[place][0], mutate_bytes(rng, segments[place][1])[:65000])
    parts = [struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content for kind, content in segments]
    return b"\xff\xd8" + b"".join(parts) + rest
