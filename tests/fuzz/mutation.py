"""Mutations that know what they change: fields of messages, nodes of JSON, chunks of pictures; else bytes."""

from __future__ import annotations

from random import Random

from fuzz.image_parts import is_picture, mutate_picture
from fuzz.json_nodes import mutate_json
from fuzz.plain_bytes import mutate_bytes
from fuzz.wire_fields import join, mutate_fields, split

_DEEPEST = 6


def mutate(rng: Random, data: bytes, *, structured: bool = True, depth: int = 0) -> bytes:
    """A changed copy of ``data``. Where it is a message, one of its parts is changed as what that is."""
    if data[:1] == b"{" and rng.random() < 0.8:
        return mutate_json(rng, data)
    if is_picture(data) and rng.random() < 0.8:
        return mutate_picture(rng, data)
    fields = split(data) if structured and depth < _DEEPEST else None
    if not fields or rng.random() < 0.05:
        return mutate_bytes(rng, data)
    inner = [i for i, (_, _, value) in enumerate(fields) if isinstance(value, bytes)]
    if inner and rng.random() < 0.7:
        place = rng.choice(inner)
        number, wire, value = fields[place]
        assert isinstance(value, bytes)
        fields[place] = (number, wire, mutate(rng, value, depth=depth + 1))
        return join(fields)
    return join(mutate_fields(rng, fields))
