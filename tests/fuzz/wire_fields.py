"""Messages as their fields on the wire, without knowing what they mean; and mutations of these fields."""

from __future__ import annotations

from random import Random

from convserve_proto.wire import varint

Field = tuple[int, int, int | bytes]
"""Number, wire type (0, 1, 2, 5), and what stands there."""

_NUMBERS = (0, 1, 2, 3, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_FIXED = {1: 8, 5: 4}
_FLOATS = (b"\0\0\x80\x7f", b"\0\0\xc0\x7f", b"\1\0\0\0", b"\xff\xff\x7f\x7f", b"\0\0\x80\xff")
_MANY = 100


def split(data: bytes) -> list[Field] | None:
    """The fields of a message; None for bytes that are none."""
    fields: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if at < 0 or number == 0 or wire not in (0, 1, 2, 5):
            return None
        size = _FIXED.get(wire, 0)
        value = 0
        if not size:
            value, at = _read_varint(data, at)
            if at < 0:
                return None
            if wire == 0:
                fields.append((number, wire, value))
                continue
            size = value
        if at + size > len(data):
            return None
        fields.append((number, wire, data[at : at + size]))
        at += size
    return fields


def join(fields: list[Field]) -> bytes:
    """The message of these fields; lengths are those of what stands there."""
    parts = []
    for number, wire, value in fields:
        parts.append(varint(number << 3 | wire))
        if isinstance(value, int):
            parts.append(varint(value))
        else:
            parts += (varint(len(value)), value) if wire == 2 else (value,)
    return b"".join(parts)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number and where it ends; -1 where it does not."""
    number = 0
    for index in range(10):
        if at + index >= len(data):
            break
        byte = data[at + index]
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number % 2**64, at + index + 1
    return 0, -1


def mutate_fields(rng: Random, fields: list[Field]) -> list[Field]:
    """One change of the fields themselves: gone, doubled, moved, another number or kind, or something unknown added."""
    place = rng.randrange(len(fields))
    number, wire, value = fields[place]
    match rng.randrange(8):
        case 0:
            del fields[place]
        case 1:
            fields[place:place] = [fields[place]] * rng.choice((1, 1, 2, _MANY))
        case 2:
            fields.insert(rng.randrange(len(fields)), fields.pop(place))
        case 3:
            fields[place] = (max(1, number + rng.choice((-2, -1, 1, 2, 100))), wire, value)
        case 4:
            fields[place] = (number, 0, rng.choice(_NUMBERS))
        case 5:
            fields[place] = (number, 2, b"" if isinstance(value, int) else _nested(rng, number, value))
        case 6:
            fields.insert(place, (rng.choice((15, 99, 2**29 - 1)), 2, rng.randbytes(rng.randrange(20))))
        case _:
            fields[place] = _other_value(rng, fields[place])
    return fields


def _nested(rng: Random, number: int, value: bytes) -> bytes:
    """The value in as many messages of its own kind as parsers follow, or more."""
    for _ in range(rng.choice((1, 5, 99, 120))):
        value = join([(number, 2, value)])
    return value


def _other_value(rng: Random, field: Field) -> Field:
    number, wire, value = field
    if wire == 0:
        return number, 0, rng.choice(_NUMBERS)
    if wire == 5:
        return number, 5, rng.choice(_FLOATS)
    if wire == 1:
        return number, 1, rng.choice((b"\0" * 6 + b"\xf0\x7f", b"\xff" * 8, rng.randbytes(8)))
    assert isinstance(value, bytes)
    # Packed numbers: another count, another number.
    float_at = rng.randrange(len(value) // 4 + 1) * 4
    return (
        number,
        2,
        rng.choice((value + value, value[:-1], value[:float_at] + rng.choice(_FLOATS) + value[float_at + 4 :])),
    )
