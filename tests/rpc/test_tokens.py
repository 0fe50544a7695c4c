"""With tokens, no call of any service is answered without one that has its scope, on either transport."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from convserve_proto import open_inference as oip
from convserve_server import door
from convserve_server.access.tokens import Scope
from convserve_server.app import App
from convserve_server.errors import InvalidSettings
from convserve_server.rpc.gate import HEALTH, SCOPES
from convserve_server.settings import Settings
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2
from support.artifacts import write_sum
from support.servers import running_app
from support.tokens import SECRETS, bearer, write_tokens
from support.transports import wait_until

STREAM = f"/{oip.SERVICE}/ModelStreamInfer"
OK, UNAUTHENTICATED, DENIED = (
    grpc.StatusCode.OK,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at often, so that the tests need not wait."""
    monkeypatch.setattr(door, "LOOK_SECONDS", 0.02)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return write_tokens(tmp_path / "tokens.toml")


@pytest.fixture
def strict(kind: str, tmp_path: Path, tokens: Path) -> Iterator[App]:
    """Not even probes go without a token."""
    write_sum(tmp_path / "models")
    with running_app(tmp_path / "models", transport=kind, tokens=tokens, health_without_token=False) as app:
        yield app


@pytest.fixture
def channel(strict: App) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{strict.port}") as channel:
        yield channel


def ended(channel: grpc.Channel, path: str, metadata: Any = (), request: Message | None = None) -> Any:
    """How a call ends that sends one message, whatever kind it is: on the wire they are alike."""
    payload = b"\xff" if request is None else request.SerializeToString()
    call = channel.stream_stream(path, lambda b: b, lambda b: b)(iter([payload]), timeout=20, metadata=metadata)
    try:
        for _ in call:
            if path.endswith("/Watch"):
                call.cancel()
    except grpc.RpcError:
        pass
    return call


def registered(app: App) -> set[str]:
    """Every path that the server has a handler for: those of its hot methods and those on grpc.server."""
    transport: Any = app._transport
    hot = set(getattr(transport, "_hot", ()))
    handlers = transport._server._state.generic_handlers
    tables = [getattr(h, "_method_handlers", None) or h._handlers for h in handlers]
    return hot | {path for table in tables for path in table}


def test_the_table_of_scopes_has_every_call_that_there_is_and_no_others(strict: App) -> None:
    assert registered(strict) == set(SCOPES)


def test_no_call_that_there_is_is_answered_without_a_token(strict: App, channel: grpc.Channel) -> None:
    heard = set()
    for path in [*registered(strict), "/no.Service/Nothing", f"/{oip.SERVICE}/Nothing"]:
        for metadata in ((), bearer("guessed-guessed-guessed-guessed")):
            call = ended(channel, path, metadata)
            assert call.code() is UNAUTHENTICATED, path
            heard.add((bool(metadata), call.details(), tuple(call.trailing_metadata())))
    assert len(heard) == 2, "what is refused must not tell what there is"


def test_every_call_takes_the_token_with_its_scope_and_no_other(strict: App, channel: grpc.Channel) -> None:
    for path in registered(strict):
        for scope, secret in SECRETS.items():
            call = ended(channel, path, bearer(secret))
            if scope is SCOPES[path]:
                assert call.code() not in (UNAUTHENTICATED, DENIED), path
            else:
                assert call.code() is DENIED, path
                assert f"needs a token with scope {SCOPES[path]}" in call.details()
                assert secret not in call.details()


def test_an_unknown_call_with_a_token_is_unimplemented(channel: grpc.Channel) -> None:
    call = ended(channel, "/no.Service/Nothing", bearer(SECRETS[Scope.INFER]))
    assert (call.code(), call.details()) == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


@pytest.mark.parametrize("path", ["/grpc.reflection.v1.ServerReflection", "/grpc.reflection.v1alpha.ServerReflection"])
def test_reflection_tells_who_may_observe_and_nobody_else(channel: grpc.Channel, path: str) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    path += "/ServerReflectionInfo"
    assert ended(channel, path, request=request).code() is UNAUTHENTICATED
    assert ended(channel, path, bearer(SECRETS[Scope.INFER]), request).code() is DENIED
    assert ended(channel, path, bearer(SECRETS[Scope.OBSERVE]), request).code() is OK


def test_probes_need_no_token_by_default_and_everything_else_does(kind: str, tmp_path: Path, tokens: Path) -> None:
    write_sum(tmp_path / "models")
    with (
        running_app(tmp_path / "models", transport=kind, tokens=tokens) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        free = {p for p in registered(app) if ended(channel, p).code() is not UNAUTHENTICATED}
        assert free == HEALTH
        ready = channel.unary_unary(f"/{oip.SERVICE}/ServerReady", lambda b: b, oip.ServerReadyResponse.FromString)
        assert ready(b"", timeout=20).ready


def infer(channel: grpc.Channel, secret: str) -> Any:
    return ended(channel, f"/{oip.SERVICE}/ModelInfer", bearer(secret)).code()


def test_tokens_come_and_go_while_the_server_runs_and_a_broken_file_changes_nothing(
    channel: grpc.Channel, tokens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = SECRETS[Scope.INFER], "N3W-0123456789-0123456789"
    assert infer(channel, old) is grpc.StatusCode.INVALID_ARGUMENT
    assert infer(channel, new) is UNAUTHENTICATED

    tokens.write_text(f'[tokens.web]\nsecret = "{new}')
    wait_until(lambda: "The ones from before stay in force" in caplog.text)
    assert infer(channel, old) is grpc.StatusCode.INVALID_ARGUMENT

    write_tokens(tokens, {Scope.INFER: new})
    wait_until(lambda: infer(channel, new) is grpc.StatusCode.INVALID_ARGUMENT)
    assert infer(channel, old) is UNAUTHENTICATED
    for secret in (old, new):
        assert secret not in caplog.text


def test_a_stream_whose_token_is_withdrawn_ends_at_its_next_message(channel: grpc.Channel, tokens: Path) -> None:
    more = threading.Semaphore(1)

    def requests() -> Iterator[bytes]:
        while more.acquire(timeout=20):
            yield oip.ModelInferRequest(model_name="nope", id="1").SerializeToString()

    stream = channel.stream_stream(STREAM, lambda b: b, oip.ModelStreamInferResponse.FromString)
    answers = stream(requests(), timeout=30, metadata=bearer(SECRETS[Scope.INFER]))
    assert "nope" in next(answers).error_message
    write_tokens(tokens, {Scope.INFER: "N3W-0123456789-0123456789"})
    wait_until(lambda: infer(channel, SECRETS[Scope.INFER]) is UNAUTHENTICATED)
    more.release()
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() is UNAUTHENTICATED


@pytest.mark.parametrize("content", [None, "", "[tokens.web]\n", "x" * 2_000_000])
def test_a_file_that_cannot_be_used_is_no_start(tmp_path: Path, kind: str, content: str | None) -> None:
    path = tmp_path / "tokens.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidSettings, match=r"tokens\.toml"):
        App(Settings(repository=tmp_path, listen="127.0.0.1:0", provider="cpu", transport=kind, tokens=path))


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True)])
def test_a_file_that_others_can_read_or_change_is_said(
    tmp_path: Path, tokens: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tokens.chmod(mode)
    door.Door(Settings(tokens=tokens))
    assert ("may be read or changed by other users of this machine" in caplog.text) == warned
    assert not warned or f"chmod 600 {os.fspath(tokens)}" in caplog.text
