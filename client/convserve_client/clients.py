"""The two clients, side by side: the same operations, carried out with threads or with asyncio."""

from __future__ import annotations

from convserve_client.asynchronous import AsyncLink, awaited
from convserve_client.blocking import BlockingLink, blocking
from convserve_client.operations.classification import classify
from convserve_client.operations.convolution import convolve
from convserve_client.operations.inference import infer
from convserve_client.operations.status import (
    is_live,
    is_ready,
    model_metadata,
    model_ready,
    models,
    server_metadata,
)


class Client(BlockingLink):
    """Calls a convserve server, or any server of the Open Inference Protocol; one client serves many threads.

    Use it in a ``with`` block, or close it.
    """

    is_live = blocking(is_live)
    is_ready = blocking(is_ready)
    model_ready = blocking(model_ready)
    server_metadata = blocking(server_metadata)
    model_metadata = blocking(model_metadata)
    models = blocking(models)
    infer = blocking(infer)
    classify = blocking(classify)
    convolve = blocking(convolve)


class AsyncClient(AsyncLink):
    """The same for asyncio: every operation is awaited, in one event loop.

    Use it in an ``async with`` block, or close it.
    """

    is_live = awaited(is_live)
    is_ready = awaited(is_ready)
    model_ready = awaited(model_ready)
    server_metadata = awaited(server_metadata)
    model_metadata = awaited(model_metadata)
    models = awaited(models)
    infer = awaited(infer)
    classify = awaited(classify)
    convolve = awaited(convolve)
