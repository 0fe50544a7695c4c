"""The one place where errors become gRPC status codes."""

from __future__ import annotations

import logging
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from convserve_server import errors
from convserve_server.calls import INTERNAL_ERROR, Call, Code, Handler

log = logging.getLogger(__name__)

CODES: dict[type[errors.ServerError], Code] = {
    errors.InvalidRequest: Code.INVALID_ARGUMENT,
    errors.ModelNotFound: Code.NOT_FOUND,
    errors.ModelNotReady: Code.UNAVAILABLE,
    # Not UNAVAILABLE: clients retry that blindly, which feeds an overload.
    errors.QueueFull: Code.RESOURCE_EXHAUSTED,
    errors.WaitedTooLong: Code.RESOURCE_EXHAUSTED,
    errors.TooLarge: Code.INVALID_ARGUMENT,
    errors.RegionNotFound: Code.NOT_FOUND,
    errors.RegionExists: Code.ALREADY_EXISTS,
    errors.TooManyRegions: Code.RESOURCE_EXHAUSTED,
    errors.LoadFailed: Code.INTERNAL,
    # As Triton answers where it polls.
    errors.NotAllowed: Code.UNAVAILABLE,
    errors.Unauthenticated: Code.UNAUTHENTICATED,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
    errors.QueueTimeout: Code.UNAVAILABLE,
    errors.Unsupported: Code.UNIMPLEMENTED,
    errors.DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    errors.Cancelled: Code.CANCELLED,
    errors.InferenceFailed: Code.INTERNAL,
}

LONGEST_SENTENCE = 2000
"""Bytes. In a header those beyond ASCII take three each."""

M = TypeVar("M", bound=Message)


def status_of(error: BaseException) -> tuple[Code, str]:
    """Code and sentence for an error. What is no ServerError is a bug: logged here, and kept from the caller."""
    code = CODES.get(type(error))  # type: ignore[arg-type]
    if code is not None:
        # A status travels in a header, and headers have 8 KB in all.
        return code, errors.sendable(str(error), LONGEST_SENTENCE)
    log.error("internal error", exc_info=error)
    return Code.INTERNAL, INTERNAL_ERROR


def fail(call: Call, error: BaseException) -> None:
    """Answer a call with the status of an error."""
    code, sentence = status_of(error)
    retry_after = error.retry_after if isinstance(error, errors.ServerError) else None
    call.fail(code, sentence, retry_after)


def guarded(handler: Handler) -> Handler:
    """A handler that answers with a status for whatever ``handler`` raises."""

    def guarded_handler(payload: bytes, call: Call) -> None:
        try:
            handler(payload, call)
        except Exception as error:
            fail(call, error)

    return guarded_handler


def parse(kind: type[M], payload: bytes) -> M:
    """The request message in ``payload``; raises InvalidRequest when it is none."""
    try:
        return kind.FromString(payload)
    except DecodeError:
        raise errors.InvalidRequest(
            f"the {len(payload)} bytes of the request are no valid {kind.DESCRIPTOR.full_name} message"
        ) from None
