"""A call without a transport, for what is put around handlers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from convserve_server.calls import Code, Notes


class BareCall:
    """Notes its answer."""

    def __init__(self, metadata: Sequence[tuple[str, str | bytes]] = (), peer: str = "ipv4:127.0.0.1:40112") -> None:
        self.deadline, self.metadata, self.peer = math.inf, metadata, peer
        self.identities: tuple[bytes, ...] = ()
        self.notes: Notes | None = None
        self.answers: list[bytes | tuple[Code, str]] = []

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
