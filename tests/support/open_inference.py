"""What the suites of the Open Inference Protocol share: a channel's calls by name, and errors as pairs."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from convserve_proto import open_inference as oip

from support.requests import SERVICE
from support.servers import call


def ask(channel: grpc.Channel, rpc: str, request: Any = b"") -> Any:
    """Call a unary method of the service."""
    return call(channel, SERVICE + rpc, request, getattr(oip, f"{rpc}Response"))


def refused(channel: grpc.Channel, rpc: str, request: Any) -> tuple[grpc.StatusCode, str]:
    """Code and sentence of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(channel, rpc, request)
    return caught.value.code(), caught.value.details() or ""
