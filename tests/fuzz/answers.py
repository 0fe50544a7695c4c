"""A call that notes its one answer, and what an answer may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from convserve_server.calls import INTERNAL_ERROR, Code, Method, Notes

from fuzz.target import Finding

BUGS = (Code.UNKNOWN, Code.INTERNAL, Code.DATA_LOSS, Code.OK)
"""Codes that no refusal of a bad input has."""
LOAD_FAILED = "failed to load '"
"""Begins the one sentence that goes with INTERNAL: Triton's word for a model that could not be loaded."""


class NotedCall:
    """One call (see calls.Call). Whoever leads does so at once."""

    deadline = math.inf
    metadata: Sequence[tuple[str, str | bytes]] = ()
    peer = "ipv4:127.0.0.1:1"
    identities: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self.answers: list[bytes | tuple[Code, str]] = []
        self.notes: Notes | None = Notes()

    def abandoned(self) -> bool:
        return bool(self.answers)

    def await_room(self) -> bool:
        return False

    def reply(self, payload: bytes) -> None:
        self.answers.append(payload)

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        self.answers.append((code, message))

    def lead(self, work: Callable[[int | None], bool], runs: int = 1) -> None:
        work(None)


def answer_of(method: Method, payload: bytes) -> bytes | tuple[Code, str]:
    """The one answer of a method to a payload; raises Finding where there is none, or one that nobody may get."""
    call = NotedCall()
    method.handler(payload, call)
    if len(call.answers) != 1:
        raise Finding(f"{method.path} gave {len(call.answers)} answers")
    (answer,) = call.answers
    if not isinstance(answer, bytes):
        check_refusal(*answer)
    return answer


def check_refusal(code: Code, sentence: str) -> None:
    """Raise Finding for a refusal that is none: no sentence, one that cannot be sent, or the code of a bug."""
    if not sentence or len(sentence.encode()) > 4096:
        raise Finding(f"{code.name} with a sentence of {len(sentence)} characters")
    known = code is Code.INTERNAL and sentence.startswith(LOAD_FAILED) and INTERNAL_ERROR not in sentence
    if code in BUGS and not known:
        raise Finding(f"answered {code.name}: {sentence}")


def told(answer: bytes | tuple[Code, str], response: Any = None) -> str:
    """An answer in a word, for figures. A reply must be the response message, where that is given."""
    if isinstance(answer, bytes):
        if response is not None:
            response.FromString(answer)
        return "OK"
    return f"{answer[0].name}: {answer[1]}"
