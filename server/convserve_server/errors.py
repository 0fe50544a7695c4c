"""The errors of the server, as a tree; rpc/status.py gives those for callers their gRPC status codes.

    ServerError                 what a caller hears
    ├── InvalidRequest          what was sent does not fit; the sentence says what does
    ├── ModelNotFound           no such model, or no such version of it
    ├── ModelNotReady           there, but not able to answer now
    ├── QueueFull               more is waiting than the queue takes, or than can be run in time
    ├── WaitedTooLong           waited in the queue for longer than the server lets anything wait
    ├── TooLarge                more than a limit allows
    ├── RegionNotFound          no such region of shared memory is registered
    ├── RegionExists            a region of that name is registered already
    ├── TooManyRegions          as many regions are registered as can be
    ├── LoadFailed              a model that was to be loaded could not be
    ├── NotAllowed              what the server was started not to do
    ├── Unauthenticated         nobody knows who calls: no token, or one that is not known
    ├── PermissionDenied        who calls is known, and may not do this
    ├── QueueTimeout            waited longer than the request allowed
    ├── Unsupported             a part of the protocol that this server does not have
    ├── DeadlineExceeded        the caller's deadline passed before the run
    ├── Cancelled               the caller is gone
    └── InferenceFailed         the engine failed on this request
    StartupError                what the operator hears, at start or when a model is loaded
    ├── EngineUnavailable       ONNX Runtime or the wanted provider does not work here
    ├── ModelBroken             an artifact that cannot be trusted or loaded
    └── InvalidSettings         an option that cannot be used

Their messages are sentences for whom they are for. Anything else that is raised is a bug: it is logged with its
traceback and answered as "internal error".
"""

from __future__ import annotations


def sendable(text: str, most: int = 1000) -> str:
    """``text`` as it can be logged and sent: cut to ``most`` bytes of UTF-8, "?" for what has no UTF-8.

    What is quoted from a file or a name may be of any length, and may hold halves of surrogate pairs.
    """
    encoded = text.encode(errors="replace")
    if len(encoded) <= most:
        return encoded.decode()
    return encoded[:most].decode(errors="ignore") + " ..."


class ServerError(Exception):
    """Base of the errors whose message is meant for the caller."""

    retry_after: float | None = None
    """Seconds after which another try may fare better, where that is known."""


class InvalidRequest(ServerError):
    """What was sent does not fit."""


class ModelNotFound(ServerError):
    """There is no such model, or no such version of it."""


class ModelNotReady(ServerError):
    """The model is there, but cannot answer now."""


class QueueFull(ServerError):
    """More is waiting than the queue takes, or than can be run before the caller's deadline."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class WaitedTooLong(ServerError):
    """The request waited in the queue for longer than the server lets anything wait."""

    retry_after = 1.0


class TooLarge(ServerError):
    """The request is over a limit."""


class RegionNotFound(ServerError):
    """No region of shared memory of that name is registered."""


class RegionExists(ServerError):
    """A region of shared memory of that name is registered already."""


class TooManyRegions(ServerError):
    """As many regions of shared memory are registered as can be."""


class LoadFailed(ServerError):
    """A model that a caller asked to load could not be loaded."""


class NotAllowed(ServerError):
    """The server was started not to do this."""


class Unauthenticated(ServerError):
    """Nobody knows who calls: there is no token, or one that is not known."""


class PermissionDenied(ServerError):
    """Who calls is known, and may not do this."""


class QueueTimeout(ServerError):
    """The request waited in the queue for longer than it or its model allows."""


class Unsupported(ServerError):
    """A part of the protocol that this server does not have."""


class DeadlineExceeded(ServerError):
    """The caller's deadline passed before its rows were run."""


class Cancelled(ServerError):
    """The caller is gone."""


class InferenceFailed(ServerError):
    """The engine failed on this request."""


class StartupError(Exception):
    """Base of the errors whose message is meant for the operator."""


class EngineUnavailable(StartupError):
    """ONNX Runtime, or the wanted execution provider, does not work here."""


class ModelBroken(StartupError):
    """An artifact that cannot be trusted or loaded."""


class InvalidSettings(StartupError):
    """An option that cannot be used."""
