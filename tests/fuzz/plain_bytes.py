"""Mutations of bytes that nothing is known of."""

from __future__ import annotations

from random import Random

from convserve_proto.wire import varint

LONGEST = 1 << 16
_LENGTHS = (1, 2, 4, 8)
_NUMBERS = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_BITS = (
    b"\xff" * 8,
    b"\0" * 8,
    b"../",
    b"\0",
    b"%s",
    b"\xed\xa0\x80",
    b"NaN",
    b"1e999",
    b"\xc0\x80",
    b"\n",
    b"'",
    b"9" * 5000,
    b"x" * 300,
)


def mutate_bytes(rng: Random, data: bytes) -> bytes:
    """One to four changes: bits, numbers, pieces doubled, moved, cut out or cut off."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(rng, changed)
    return bytes(changed[:LONGEST])


def _change(rng: Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(8 if data else 1):
        case 0:
            data[at:at] = rng.choice((rng.choice(_BITS), rng.randbytes(rng.randrange(1, 9))))
        case 1:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        case 2:
            data[at % len(data)] = rng.randrange(256)
        case 3 if rng.random() < 0.3:
            data[at : at + rng.choice((0, 1, 9))] = varint(rng.choice(_NUMBERS) % 2**64)
        case 3:
            size = rng.choice(_LENGTHS)
            number = rng.choice(_NUMBERS) + rng.choice((0, 0, -1, 1))
            data[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, rng.choice(("little", "big")))
        case 4:
            del data[at : at + rng.randrange(1, 17)]
        case 5:
            del data[at:]
        case 6:
            data[at:at] = data[max(0, at - rng.randrange(1, 65)) : at] * rng.choice((1, 1, 2, 100))
        case _:
            piece = bytes(data[at : at + 16])
            del data[at : at + 16]
            to = rng.randrange(len(data) + 1)
            data[to:to] = piece
