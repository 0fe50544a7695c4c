"""Protobuf's wire format, as far as large fields are written and found without copying them through a message."""

from __future__ import annotations

_LENGTH_DELIMITED = 2


def length_prefix(field: int, size: int) -> bytes:
    """What stands before ``size`` bytes of the field with this number: tag and length, as varints."""
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(size)


def varint(number: int) -> bytes:
    """A number that is not negative, 7 bits a byte, least significant first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
