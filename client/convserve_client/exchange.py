"""One request and its reply within one deadline, retries included, as steps without I/O."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError

from convserve_client.errors import CallError, InputError, ReplyError, call_error
from convserve_client.retry import RetryPolicy
from convserve_client.steps import Answer, Failure, Send, Steps, Wait

T = TypeVar("T")


def checked_timeout(seconds: float) -> float:
    """``seconds``, if a deadline can be made of it; raises InputError otherwise."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"the timeout is {seconds}, but a finite number of seconds above 0 is needed")
    return seconds


def exchange(
    method: str,
    request: bytes,
    parse: Callable[[bytes], T],
    *,
    target: str,
    timeout: float,
    policy: RetryPolicy,
    clock: Callable[[], float] = time.monotonic,
    chance: Callable[[], float] = random.random,
) -> Steps[T]:
    """Send ``request`` until it is answered, may not be tried again, or ``timeout`` seconds have passed.

    Raises a CallError for a status other than OK, and ReplyError where ``parse`` cannot read the answer.
    """
    deadline = clock() + checked_timeout(timeout)
    earlier: Failure | None = None
    attempt = 1
    while True:
        outcome = yield Send(method, request, deadline - clock())
        if isinstance(outcome, Answer):
            return _parsed(method, outcome.payload, parse, target)
        assert isinstance(outcome, Failure)
        error = _error(outcome, earlier, method=method, target=target, timeout=timeout)
        pause = policy.pause(
            attempt=attempt,
            code=outcome.code,
            time_left=deadline - clock(),
            chance=chance(),
            retry_after=outcome.retry_after,
        )
        if pause is None:
            raise error
        yield Wait(pause)
        if clock() >= deadline:  # the wait took longer than it should have
            raise error
        attempt += 1
        earlier = outcome


def _parsed(method: str, payload: bytes, parse: Callable[[bytes], T], target: str) -> T:
    try:
        return parse(payload)
    except DecodeError as error:
        raise ReplyError(f"the reply of {target} to {method} is not the message that this call has: {error}") from error


def _error(failure: Failure, earlier: Failure | None, *, method: str, target: str, timeout: float) -> CallError:
    message = failure.message
    if failure.code == "DEADLINE_EXCEEDED":
        # gRPC's own words say no more than this.
        if not message or "Deadline Exceeded" in message:
            message = f"no answer came within {timeout:g} s"
        if earlier is not None:
            message += f"; the try before failed with {earlier.code}: {earlier.message}"
    return call_error(failure.code, message, target=target, method=method)
