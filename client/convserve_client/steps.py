"""Calls as steps without I/O: what to send, how long to wait, what to do together.

An operation is a generator of steps. It is written once; a driver (blocking.py, asynchronous.py) carries its steps out
with threads or with asyncio, and the generator's return value is the operation's result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send these bytes to this method. Answered with Answer or Failure."""

    method: str
    """/package.Service/Method"""
    request: bytes
    timeout: float
    """Seconds."""


@dataclass(frozen=True)
class Answer:
    """The serialized reply to a Send."""

    payload: bytes


@dataclass(frozen=True)
class Failure:
    """The status of a Send that failed."""

    code: str
    message: str
    retry_after: float | None = None
    """Seconds that the server asks to let pass before another try; negative where it asks for none."""


@dataclass(frozen=True)
class Wait:
    """Let this many seconds pass. Answered with None."""

    seconds: float


@dataclass(frozen=True)
class Together(Generic[T]):
    """Carry out several operations, at most ``limit`` at a time. Answered with their results, in order.

    Jobs are taken from the iterator only when there is room for one, so that large inputs need not be in memory at
    once. The first job that raises ends it all: the others are cancelled, and the error is raised.
    """

    jobs: Iterator[Steps[T]]
    limit: int
    done: Callable[[T], None] | None = None
    """Called with each result as it comes, one at a time, from the thread that carries the operation out."""


Step = Send | Wait | Together[Any]

Steps = Generator[Step, Any, T]
"""An operation whose result is a T."""


def result_signature(operation: Callable[..., Steps[Any]]) -> inspect.Signature:
    """The signature that help() shows for an operation that is carried out: it returns the T of its Steps[T]."""
    signature = inspect.signature(operation)
    result = str(signature.return_annotation).removeprefix("Steps[").removesuffix("]")
    return signature.replace(return_annotation=result)
