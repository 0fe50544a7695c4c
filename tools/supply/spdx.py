"""Whether an SPDX licence expression is satisfied by a set of licences: AND needs all, OR needs one."""

from __future__ import annotations

import re
from collections.abc import Set

_TOKEN = re.compile(r"\(|\)|[^\s()]+")


def is_satisfied(expression: str, accepted: Set[str]) -> bool:
    """True when someone who accepts these licences may use what is under the expression.

    A licence with an exception counts as a name of its own, such as ``Apache-2.0 WITH LLVM-exception``. Raises
    ValueError for what is not an expression.
    """
    words = _TOKEN.findall(expression)[::-1]
    answer = _either(words, accepted)
    if words:
        raise ValueError(f"not an SPDX expression: {expression!r}")
    return answer


def _either(words: list[str], accepted: Set[str]) -> bool:
    answer = _both(words, accepted)
    while words and words[-1] == "OR":
        words.pop()
        answer = _both(words, accepted) or answer
    return answer


def _both(words: list[str], accepted: Set[str]) -> bool:
    answer = _one(words, accepted)
    while words and words[-1] == "AND":
        words.pop()
        answer = _one(words, accepted) and answer
    return answer


def _one(words: list[str], accepted: Set[str]) -> bool:
    if not words or words[-1] in (")", "AND", "OR", "WITH"):
        raise ValueError("an SPDX expression has a licence where this one has none")
    name = words.pop()
    if name == "(":
        answer = _either(words, accepted)
        if not words or words.pop() != ")":
            raise ValueError("an SPDX expression closes every bracket")
        return answer
    if words and words[-1] == "WITH":
        words.pop()
        name = f"{name} WITH {words.pop()}"
    return name in accepted
