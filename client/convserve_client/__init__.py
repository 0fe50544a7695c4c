"""Client SDK of convserve: Client, its asyncio twin AsyncClient, their results and their errors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convserve_client.clients import AsyncClient, Client
    from convserve_client.errors import (
        AccessDenied,
        CallError,
        Cancelled,
        ClientClosed,
        ConvserveError,
        DeadlineExceeded,
        ImageFailed,
        InputError,
        InvalidArgument,
        NotFound,
        NotPossibleNow,
        ReplyError,
        ResourceExhausted,
        ServerFailure,
        Unavailable,
        Unimplemented,
    )
    from convserve_client.link import Tls
    from convserve_client.operations.convolution import KERNELS
    from convserve_client.results import (
        Classification,
        ClassifyResult,
        ConvolveResult,
        ImageError,
        InferResult,
        ModelInfo,
        ServerInfo,
        TensorInfo,
    )
    from convserve_client.retry import RetryPolicy

__all__ = [
    "KERNELS",
    "AccessDenied",
    "AsyncClient",
    "CallError",
    "Cancelled",
    "Classification",
    "ClassifyResult",
    "Client",
    "ClientClosed",
    "ConvolveResult",
    "ConvserveError",
    "DeadlineExceeded",
    "ImageError",
    "ImageFailed",
    "InferResult",
    "InputError",
    "InvalidArgument",
    "ModelInfo",
    "NotFound",
    "NotPossibleNow",
    "ReplyError",
    "ResourceExhausted",
    "RetryPolicy",
    "ServerFailure",
    "ServerInfo",
    "TensorInfo",
    "Tls",
    "Unavailable",
    "Unimplemented",
]

# Loaded when first asked for: `convserve health` runs every few seconds in a container and needs no numpy.
_HOMES = {
    "convserve_client.clients": ("AsyncClient", "Client"),
    "convserve_client.errors": (
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
    ),
    "convserve_client.link": ("Tls",),
    "convserve_client.operations.convolution": ("KERNELS",),
    "convserve_client.results": (
        "Classification",
        "ClassifyResult",
        "ConvolveResult",
        "ImageError",
        "InferResult",
        "ModelInfo",
        "ServerInfo",
        "TensorInfo",
    ),
    "convserve_client.retry": ("RetryPolicy",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'convserve_client' has no attribute '{name}'")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
