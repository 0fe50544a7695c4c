"""The errors that the SDK raises; grpc.RpcError never escapes from it.

ConvserveError
├── InputError                what the caller gave does not fit; nothing was sent
├── ImageFailed               an image has no classes, and its classes are asked for
├── ReplyError                the reply is not what the contract promises
├── ClientClosed              the client was closed
└── CallError                 the call was answered with a status other than OK
    ├── InvalidArgument       INVALID_ARGUMENT, OUT_OF_RANGE: the server refused what was sent
    ├── NotFound              NOT_FOUND: no such model, or no such version of it
    ├── Unimplemented         UNIMPLEMENTED: the server does not know this call
    ├── DeadlineExceeded      DEADLINE_EXCEEDED: no answer in time
    ├── ResourceExhausted     RESOURCE_EXHAUSTED: a full queue, or a message over a limit
    ├── Unavailable           UNAVAILABLE: no server there, or one that is starting or stopping
    ├── Cancelled             CANCELLED: the server gave the call up, as one that stops does
    ├── AccessDenied          UNAUTHENTICATED, PERMISSION_DENIED
    ├── NotPossibleNow        FAILED_PRECONDITION, ABORTED, ALREADY_EXISTS
    └── ServerFailure         INTERNAL, UNKNOWN, DATA_LOSS: the server met a fault of its own
"""

from __future__ import annotations

__all__ = [
    "AccessDenied",
    "CallError",
    "Cancelled",
    "ClientClosed",
    "ConvserveError",
    "DeadlineExceeded",
    "ImageFailed",
    "InputError",
    "InvalidArgument",
    "NotFound",
    "NotPossibleNow",
    "ReplyError",
    "ResourceExhausted",
    "ServerFailure",
    "Unavailable",
    "Unimplemented",
]


class ConvserveError(Exception):
    """Base of everything that the SDK raises on purpose."""


class InputError(ConvserveError, ValueError):
    """What the caller gave does not fit; nothing was sent."""


class ImageFailed(ConvserveError):
    """An image has no classes, because it could not be read, here or by the server; the others of its call may."""


class ReplyError(ConvserveError):
    """The reply is not what the contract promises: another kind of server, or a damaged message."""


class ClientClosed(ConvserveError):
    """The client was closed, before the call or during it."""


class CallError(ConvserveError):
    """A call that was answered with a status other than OK, by the server or by gRPC on the way to it."""

    def __init__(self, code: str, message: str, *, target: str, method: str) -> None:
        super().__init__(code, message, target, method)
        self.code = code
        """The status code's name, such as NOT_FOUND."""
        self.message = message
        """The server's sentence."""
        self.target = target
        """The server's address, as the client was given it."""
        self.method = method
        """What was called, as /package.Service/Method."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.code, self.message, self.target, self.method)

    def __str__(self) -> str:
        return f"{self.message} ({self.code} from {self.target})"


def _rebuild(kind: type[CallError], code: str, message: str, target: str, method: str) -> CallError:
    """Lets a CallError travel between processes in spite of its keyword-only arguments."""
    return kind(code, message, target=target, method=method)


class InvalidArgument(CallError):
    """The server refused what was sent; its sentence says what fits."""


class NotFound(CallError):
    """There is no such model, or no such version of it."""


class Unimplemented(CallError):
    """The server does not know this call."""


class DeadlineExceeded(CallError):
    """No answer came in time, retries included."""


class ResourceExhausted(CallError):
    """The server is overloaded, or a message is over a limit. Retried only after a pause that the server asks for."""


class Unavailable(CallError):
    """No server is there, or it is starting or stopping. Retried before it is raised."""


class Cancelled(CallError):
    """The server gave the call up, as one that stops does. Retried before it is raised."""


class AccessDenied(CallError):
    """The server wants other credentials."""


class NotPossibleNow(CallError):
    """The server is not in the state that this call needs."""


class ServerFailure(CallError):
    """The server met a fault of its own."""


BY_CODE: dict[str, type[CallError]] = {
    "CANCELLED": Cancelled,
    "UNKNOWN": ServerFailure,
    "INVALID_ARGUMENT": InvalidArgument,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": NotPossibleNow,
    "PERMISSION_DENIED": AccessDenied,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "FAILED_PRECONDITION": NotPossibleNow,
    "ABORTED": NotPossibleNow,
    "OUT_OF_RANGE": InvalidArgument,
    "UNIMPLEMENTED": Unimplemented,
    "INTERNAL": ServerFailure,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": ServerFailure,
    "UNAUTHENTICATED": AccessDenied,
}
"""Status code, by name, to what is raised for it."""


def call_error(code: str, message: str, *, target: str, method: str) -> CallError:
    """The error for a status; ServerFailure for a code that gRPC does not have today."""
    return BY_CODE.get(code, ServerFailure)(code, message or "no details were given", target=target, method=method)
