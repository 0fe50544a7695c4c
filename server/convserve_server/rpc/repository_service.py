"""The Open Inference Protocol's repository calls: what is there, load it, unload it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Method
from convserve_server.engine.states import State, VersionStatus
from convserve_server.errors import InvalidRequest, NotAllowed
from convserve_server.rpc.simple import simple_methods
from convserve_server.rpc.status import parse

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import ModelRepositoryParameter

_FILE = "file:"
T = TypeVar("T")


class LiveModels(Protocol):
    """Models that can be loaded and unloaded while others are served."""

    def index(self) -> list[VersionStatus]:
        """Every version that is known."""

    def load_model(self, name: str, config: str | None = None, files: Mapping[str, bytes] | None = None) -> None:
        """Load a model, or what has changed of it; raises InvalidRequest and LoadFailed."""

    def unload_model(self, name: str) -> None:
        """Stop to serve a model; raises InvalidRequest when it is not served."""


class RepositoryService:
    """RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload."""

    def __init__(self, models: LiveModels, mode: str) -> None:
        self._models, self._mode = models, mode

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return simple_methods(
            {
                "RepositoryIndex": self._index,
                "RepositoryModelLoad": self._load,
                "RepositoryModelUnload": self._unload,
            }
        )

    def _index(self, payload: bytes) -> Message:
        request = parse(oip.RepositoryIndexRequest, payload)
        _check_repository(request.repository_name)
        response = oip.RepositoryIndexResponse()
        for status in self._models.index():
            if status.state is State.READY or not request.ready:
                version = "" if status.version is None else str(status.version)
                response.models.add(name=status.name, version=version, state=status.state.value, reason=status.reason)
        return response

    def _load(self, payload: bytes) -> Message:
        request = parse(oip.RepositoryModelLoadRequest, payload)
        _check_repository(request.repository_name)
        self._check_allowed()
        config = None
        files = {}
        for name, parameter in request.parameters.items():
            if name == "config":
                config = _value(name, parameter, "string_param", str)
            elif name.startswith(_FILE):
                files[name.removeprefix(_FILE)] = _value(name, parameter, "bytes_param", bytes)
            else:
                raise InvalidRequest(f"unrecognized load parameter '{name}'; known are config and file:VERSION/NAME")
        self._models.load_model(request.model_name, config, files or None)
        return oip.RepositoryModelLoadResponse()

    def _unload(self, payload: bytes) -> Message:
        request = parse(oip.RepositoryModelUnloadRequest, payload)
        _check_repository(request.repository_name)
        self._check_allowed()
        for name, parameter in request.parameters.items():
            if name != "unload_dependents":
                raise InvalidRequest(f"unrecognized unload parameter '{name}'; known is unload_dependents")
            # No model here is made of others, so there is nothing more to unload.
            _value(name, parameter, "bool_param", bool)
        self._models.unload_model(request.model_name)
        return oip.RepositoryModelUnloadResponse()

    def _check_allowed(self) -> None:
        if self._mode == "poll":
            raise NotAllowed(
                "explicit model load / unload is not allowed if polling is enabled: "
                "what lies in the repository is served by itself"
            )
        if self._mode != "explicit":
            raise NotAllowed(
                "explicit model load / unload is not allowed: start the server with --repository-mode explicit"
            )


def _check_repository(name: str) -> None:
    if name:
        raise InvalidRequest(f"there is no repository '{name}': this server has one, and it has no name")


def _value(name: str, parameter: ModelRepositoryParameter, field: str, kind: type[T]) -> T:
    chosen = parameter.WhichOneof("parameter_choice")
    if chosen != field:
        raise InvalidRequest(f"parameter '{name}' takes a {field}, but {chosen or 'nothing'} was sent")
    value = getattr(parameter, field)
    assert isinstance(value, kind)
    return value
