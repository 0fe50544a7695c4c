"""The errors that a caller can cause or meet; rpc/status.py gives each its gRPC status code.

    ServerError
    ├── InvalidRequest          what was sent does not fit; the sentence says what does
    ├── ModelNotFound           no such model, or no such version of it
    ├── ModelNotReady           there, but not able to answer now
    ├── QueueFull               more is waiting than the queue takes
    ├── TooLarge                more than a limit allows
    ├── DeadlineExceeded        the caller's deadline passed before the run
    ├── Cancelled               the caller is gone
    └── InferenceFailed         the engine failed on this batch

Their messages are sentences for callers. Anything else that is raised is a bug: it is logged with its traceback and
answered as "internal error".
"""

from __future__ import annotations


class ServerError(Exception):
    """Base of the errors whose message is meant for the caller."""


class InvalidRequest(ServerError):
    """What was sent does not fit."""


class ModelNotFound(ServerError):
    """There is no such model, or no such version of it."""


class ModelNotReady(ServerError):
    """The model is there, but cannot answer now."""


class QueueFull(ServerError):
    """More is waiting than the queue takes."""


class TooLarge(ServerError):
    """The request is over a limit."""


class DeadlineExceeded(ServerError):
    """The caller's deadline passed before its rows were run."""


class Cancelled(ServerError):
    """The caller is gone."""


class InferenceFailed(ServerError):
    """The engine failed on the batch that this request was in."""
