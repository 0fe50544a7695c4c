"""What transport and rpc agree on: a call, its status codes, and methods that answer calls.

A transport brings calls in and answers out and does not know what they mean; a handler knows what a call means and
not how it came in. A handler does not return its answer: it hands on the duty to reply, and whoever runs the batch
that the call's rows are in may reply later, from another thread.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Code(enum.IntEnum):
    """The gRPC status codes, by their numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


INTERNAL_ERROR = "internal error; the server's log says more"
"""What a caller hears of a bug."""


class Run(NamedTuple):
    """One trip of a call's rows through a model's queue. Moments on the clock of time.monotonic()."""

    submitted: float
    started: float
    """Start of the batch; all that share it have the same. Infinity where the rows left the queue without a run."""
    seconds: float
    """How long the batch ran; where there was none, how long the rows waited."""
    batch_rows: int


@dataclass(slots=True)
class Notes:
    """What a handler finds out about a call, for whoever logs or traces it. Names are as the caller sent them."""

    request_id: str = ""
    model: str = ""
    version: str = ""
    precision: str = ""
    provider: str = ""
    rows: int = 0
    runs: list[Run] = field(default_factory=list)
    trace_id: str = ""
    """In hexadecimal digits, where calls are traced."""


PUSHBACK = "grpc-retry-pushback-ms"
"""Trailing metadata with the milliseconds that a caller should let pass before another try. gRPC's own retries honour
it wherever their policy names the status code (gRFC A6)."""


def pushback(seconds: float) -> str:
    """The value of PUSHBACK."""
    return str(max(1, round(seconds * 1000)))


Work = Callable[[int | None], bool]
"""Runs batches: at most so many, or until none are left. True where it stopped and more wait; see Batcher.lead."""


class Call(Protocol):
    """One unary call that has come in. Exactly one of reply and fail is called, once, from any thread."""

    @property
    def deadline(self) -> float:
        """The moment on the clock of time.monotonic() after which nobody waits; infinity where there is none."""

    @property
    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """The caller's metadata; values are bytes where the key ends in -bin."""

    @property
    def peer(self) -> str:
        """The caller's address as gRPC writes it, such as ipv4:127.0.0.1:40112."""

    @property
    def identities(self) -> tuple[bytes, ...]:
        """The names in the certificate that the caller proved itself with; empty without mutual TLS."""

    @property
    def notes(self) -> Notes | None:
        """Where handlers note what the call is about; None where nobody wants to know."""

    def abandoned(self) -> bool:
        """True once the caller has cancelled, vanished, or was answered."""

    def await_room(self) -> bool:
        """Wait until another call of the same stream was answered; False where there is none (see Submitter)."""

    def reply(self, payload: bytes) -> None:
        """Answer with a serialized message and status OK."""

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        """Answer with an error. The message is a sentence for the caller.

        ``retry_after``: seconds after which another try may fare better; the caller hears them with the status.
        """

    def lead(self, work: Work, runs: int = 1) -> None:
        """Have ``work`` run when this thread has read what there is to read; see Batcher.lead.

        Where the call takes several ``runs``, other threads lead, too.
        """


Refusal = tuple[Code, str]
"""How a call ends that may not be made: the code, and a sentence for the caller."""

Admit = Callable[[str, Sequence[tuple[str, str | bytes]]], Refusal | None]
"""Says of a call, by its path and metadata and before its request is read, why it is refused; None lets it in."""

Handler = Callable[[bytes, Call], None]
"""Takes a serialized request and the call to answer. Does not raise for anything that a caller sent."""


Refused = Callable[[Code], None]
"""Told of a call that the transport answers itself, with this code, before a handler has seen it."""


def _nobody_asks(code: Code) -> None:
    """Calls that were refused are not counted."""


@dataclass(frozen=True)
class Method:
    """One unary method: where it is called and what answers it."""

    path: str
    """/package.Service/Method"""
    handler: Handler
    hot: bool = False
    """Called often enough to be worth the fast transport."""
    refused: Refused = _nobody_asks
