"""Which call needs which scope, and whether a caller's token has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from convserve_proto import open_inference, vision_pb2

from convserve_server.access.tokens import Scope, Tokens, authenticate, authorize
from convserve_server.calls import Code, Refusal
from convserve_server.errors import ServerError, Unauthenticated
from convserve_server.rpc import health, reflection
from convserve_server.rpc.status import status_of

_VISION = vision_pb2.DESCRIPTOR.services_by_name


def _paths(service: str, names: Iterable[str], scope: Scope) -> dict[str, Scope]:
    return {f"/{service}/{name}": scope for name in names}


INFER = ("ModelInfer", "ModelStreamInfer")
OBSERVE = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
)
# What only asks is here too, where a single call both asks and changes, or where the answer tells of the machine.
ADMINISTER = (
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    *(f"{kind}SharedMemory{do}" for kind in ("System", "Cuda") for do in ("Status", "Register", "Unregister")),
    "TraceSetting",
    "LogSettings",
)
SCOPES: Mapping[str, Scope] = {
    **_paths(open_inference.SERVICE, INFER, Scope.INFER),
    **_paths(open_inference.SERVICE, OBSERVE, Scope.OBSERVE),
    **_paths(open_inference.SERVICE, ADMINISTER, Scope.ADMINISTER),
    **_paths(_VISION["ImageClassifier"].full_name, ["Classify"], Scope.INFER),
    **_paths(_VISION["Convolution"].full_name, ["Convolve"], Scope.INFER),
    **_paths(health.SERVICE, ["Check", "Watch", "List"], Scope.OBSERVE),
    **{f"/{service}/ServerReflectionInfo": Scope.OBSERVE for service in reflection.SERVICES},
}
"""By path. A call that is not here is refused whoever makes it, so that nothing is open because it was forgotten."""

HEALTH = frozenset(
    {
        *_paths(open_inference.SERVICE, ["ServerLive", "ServerReady"], Scope.OBSERVE),
        *_paths(health.SERVICE, ["Check", "Watch"], Scope.OBSERVE),
    }
)
"""What probes ask. List is not among them: it names the models."""


_UNKNOWN = (Code.UNIMPLEMENTED, "Method not found!")
"""What grpc.server itself says of a call that it does not have."""


class Gate:
    """Admits a call or says why not; see calls.Admit. ``tokens`` gives those that are in force now."""

    def __init__(self, tokens: Callable[[], Tokens], *, health_without_token: bool) -> None:
        self._tokens = tokens
        self._open = HEALTH if health_without_token else frozenset()

    def __call__(self, path: str, metadata: Sequence[tuple[str, str | bytes]]) -> Refusal | None:
        if path in self._open:
            return None
        try:
            return self._refusal(path, metadata)
        except ServerError as error:
            return status_of(error)

    def _refusal(self, path: str, metadata: Sequence[tuple[str, str | bytes]]) -> Refusal | None:
        headers = [value for key, value in metadata if key == "authorization"]
        if len(headers) > 1:
            raise Unauthenticated(f"{len(headers)} authorizations were sent; send one")
        header = headers[0] if headers else None
        if isinstance(header, bytes):
            header = header.decode(errors="replace")
        # Who has no token hears the same of calls that there are and of those that there are not.
        scope = SCOPES.get(path)
        if scope is None:
            authenticate(self._tokens(), header)
            return _UNKNOWN
        authorize(self._tokens(), header, scope, path.rpartition("/")[2])
        return None
