"""Which call needs which scope."""

from __future__ import annotations

import pytest
from convserve_proto import open_inference as oip
from convserve_server.access.tokens import Holder, Scope, Tokens, digest_of
from convserve_server.calls import Code
from convserve_server.rpc.gate import HEALTH, SCOPES, Gate

SECRETS = {scope: f"{scope}-0123456789-abcdefgh" for scope in Scope}
TOKENS = Tokens((digest_of(secret), Holder(scope, frozenset({scope}))) for scope, secret in SECRETS.items())
V2 = "/inference.GRPCInferenceService/"

NEEDS = {
    Scope.INFER: {
        V2 + "ModelInfer",
        V2 + "ModelStreamInfer",
        "/convserve.v1.ImageClassifier/Classify",
        "/convserve.v1.Convolution/Convolve",
    },
    Scope.ADMINISTER: {
        V2 + "RepositoryModelLoad",
        V2 + "RepositoryModelUnload",
        V2 + "SystemSharedMemoryStatus",
        V2 + "SystemSharedMemoryRegister",
        V2 + "SystemSharedMemoryUnregister",
        V2 + "CudaSharedMemoryStatus",
        V2 + "CudaSharedMemoryRegister",
        V2 + "CudaSharedMemoryUnregister",
        V2 + "TraceSetting",
        V2 + "LogSettings",
    },
}


def gate(*, health_without_token: bool = True) -> Gate:
    return Gate(lambda: TOKENS, health_without_token=health_without_token)


def bearer(secret: str) -> list[tuple[str, str | bytes]]:
    return [("user-agent", "test"), ("authorization", f"Bearer {secret}")]


def test_every_call_of_the_protocol_has_a_scope() -> None:
    methods = oip.POOL.FindServiceByName(oip.SERVICE).methods
    assert {f"/{oip.SERVICE}/{m.name}" for m in methods} == {p for p in SCOPES if p.startswith(V2)}


@pytest.mark.parametrize("path", SCOPES)
def test_a_call_takes_tokens_with_its_scope_and_no_others(path: str) -> None:
    needed = next((scope for scope, paths in NEEDS.items() if path in paths), Scope.OBSERVE)
    for scope, secret in SECRETS.items():
        refusal = gate(health_without_token=False)(path, bearer(secret))
        if scope is needed:
            assert refusal is None
        else:
            assert refusal is not None
            assert refusal[0] is Code.PERMISSION_DENIED
            assert f"scope {needed}" in refusal[1]
            assert secret not in refusal[1]


@pytest.mark.parametrize("path", [*SCOPES, "/a.Service/Unknown", "/"])
@pytest.mark.parametrize("metadata", [[], [("authorization", "Bearer wrong")], [("authorization-bin", b"x")]])
def test_without_a_token_all_calls_hear_the_same_also_those_that_are_not_there(
    path: str, metadata: list[tuple[str, str | bytes]]
) -> None:
    strict = gate(health_without_token=False)
    refusal = strict(path, metadata)
    assert refusal is not None
    assert refusal[0] is Code.UNAUTHENTICATED
    assert refusal == strict("/another.Service/Unknown", metadata)


@pytest.mark.parametrize("path", SCOPES)
def test_only_probes_go_without_a_token_and_only_by_choice(path: str) -> None:
    probes = {V2 + "ServerLive", V2 + "ServerReady", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}
    assert probes == HEALTH
    assert (gate()(path, []) is None) == (path in probes)
    assert gate(health_without_token=False)(path, []) is not None


def test_a_call_that_has_no_scope_is_closed_to_every_token() -> None:
    for secret in SECRETS.values():
        assert gate()("/a.Service/Forgotten", bearer(secret)) == (Code.UNIMPLEMENTED, "Method not found!")


def test_two_authorizations_are_refused() -> None:
    """One may be what a proxy has checked and the other what the caller sent."""
    refusal = gate()(V2 + "ModelInfer", bearer(SECRETS[Scope.INFER]) * 2)
    assert refusal == (Code.UNAUTHENTICATED, "2 authorizations were sent; send one")


def test_a_token_that_is_withdrawn_is_refused_from_then_on() -> None:
    now = [TOKENS]
    changing = Gate(lambda: now[0], health_without_token=True)
    metadata = bearer(SECRETS[Scope.INFER])
    assert changing(V2 + "ModelInfer", metadata) is None
    now[0] = Tokens([])
    refusal = changing(V2 + "ModelInfer", metadata)
    assert refusal is not None
    assert refusal[0] is Code.UNAUTHENTICATED
