"""Mutations of JSON: one node becomes something else, vanishes, or is nested deeply."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from fuzz.plain_bytes import mutate_bytes

_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**31,
    2**63,
    -(2**64),
    1e308,
    float("nan"),
    float("inf"),
    "",
    "..",
    "../x",
    "a/b",
    "\0",
    "\ud800",
    "x" * 300,
    "NaN",
    "9" * 5000,
    "-1",
    "TYPE_FP32",
    "KIND_GPU",
    [],
    {},
    [[]],
    [None],
    {"key": {}},
)


def mutate_json(rng: Random, data: bytes) -> bytes:
    """One node changed; where it is no JSON, its bytes."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_bytes(rng, data)
    places = list(_places(tree))
    if not places:
        return mutate_bytes(rng, data)
    holder, key = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.append(holder[key])
        case 1:
            holder[rng.choice(("name", "surprise", "dims", "@type", ""))] = holder[key]
        case 2:
            other, other_key = rng.choice(places)
            # As text: a node must not come to lie inside of itself.
            holder[key] = json.loads(json.dumps(other[other_key]))
        case 3:
            holder[key] = rng.choice((holder[key], rng.choice(_VALUES)))
            return _deep(rng, json.dumps(tree).encode())
        case _:
            holder[key] = rng.choice(_VALUES)
    return json.dumps(tree).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every node below the root, as what holds it and its key there."""
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        yield tree, key
        yield from _places(tree[key])


def _deep(rng: Random, data: bytes) -> bytes:
    """Somewhere a value in very many brackets."""
    at = data.find(b": ", rng.randrange(len(data)))
    times = rng.choice((3, 90, 2000))
    bracket = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return data[: at + 2] + bracket[0] * times + b"0" + bracket[1] * times + data[at + 2 :] if at > 0 else data
