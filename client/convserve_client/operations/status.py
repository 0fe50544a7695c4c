"""Is the server there and ready, and what does it serve?"""

from __future__ import annotations

from collections.abc import Iterator

from convserve_proto import open_inference as oip

from convserve_client import health
from convserve_client.errors import Unimplemented
from convserve_client.link import Link
from convserve_client.results import ModelInfo, ServerInfo, TensorInfo
from convserve_client.steps import Steps, Together

_AT_A_TIME = 8


def is_live(link: Link, *, timeout: float | None = None) -> Steps[bool]:
    """Whether the server says that it is alive. Raises Unavailable where there is none."""
    request = oip.ServerLiveRequest().SerializeToString()
    response = yield from link.call(f"/{oip.SERVICE}/ServerLive", request, oip.ServerLiveResponse.FromString, timeout)
    return response.live


def is_ready(link: Link, *, timeout: float | None = None) -> Steps[bool]:
    """Whether the server can answer inference calls now. Raises Unavailable where there is none."""
    request = oip.ServerReadyRequest().SerializeToString()
    response = yield from link.call(f"/{oip.SERVICE}/ServerReady", request, oip.ServerReadyResponse.FromString, timeout)
    return response.ready


def model_ready(link: Link, model: str, *, version: str = "", timeout: float | None = None) -> Steps[bool]:
    """Whether a model can answer inference calls now. Raises NotFound where there is no such model or version."""
    request = oip.ModelReadyRequest(name=model, version=version).SerializeToString()
    response = yield from link.call(f"/{oip.SERVICE}/ModelReady", request, oip.ModelReadyResponse.FromString, timeout)
    return response.ready


def server_metadata(link: Link, *, timeout: float | None = None) -> Steps[ServerInfo]:
    """Name, version and extensions of the server."""
    request = oip.ServerMetadataRequest().SerializeToString()
    response = yield from link.call(
        f"/{oip.SERVICE}/ServerMetadata", request, oip.ServerMetadataResponse.FromString, timeout
    )
    return ServerInfo(response.name, response.version, tuple(response.extensions))


def model_metadata(link: Link, model: str, *, version: str = "", timeout: float | None = None) -> Steps[ModelInfo]:
    """Versions, inputs and outputs of a model. Raises NotFound where there is no such model or version."""
    request = oip.ModelMetadataRequest(name=model, version=version).SerializeToString()
    response = yield from link.call(
        f"/{oip.SERVICE}/ModelMetadata", request, oip.ModelMetadataResponse.FromString, timeout
    )
    return ModelInfo(
        name=response.name,
        versions=tuple(response.versions),
        platform=response.platform,
        inputs=tuple(TensorInfo(t.name, t.datatype, tuple(t.shape)) for t in response.inputs),
        outputs=tuple(TensorInfo(t.name, t.datatype, tuple(t.shape)) for t in response.outputs),
        properties=dict(response.properties),
    )


def models(link: Link, *, timeout: float | None = None) -> Steps[list[ModelInfo]]:
    """Every model that the server lists, by name. ``timeout`` is for each call: one to list, one for each model.

    Raises Unimplemented for a server that does not list its models: the protocol has no call for it, and this asks
    the health service.
    """
    try:
        served = yield from link.call(health.LIST, b"", health.served_models, timeout)
    except Unimplemented as error:
        raise Unimplemented(
            error.code,
            "this server does not list its models; ask for one by its name instead",
            target=error.target,
            method=error.method,
        ) from error

    def describe() -> Iterator[Steps[ModelInfo]]:
        return (model_metadata(link, name, timeout=timeout) for name, serving in served.items() if serving)

    described = yield Together(describe(), _AT_A_TIME)
    by_name = {info.name: info for info in described}
    return [by_name.get(name, ModelInfo(name, ready=False)) for name in served]
