"""A profile over HTTP: of a server that was started with --profiling, alone or as one of several workers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from convserve_server.access.tokens import Scope
from convserve_server.app import App
from convserve_server.errors import InvalidSettings
from convserve_server.observe.profile_page import ProfilePage, of_workers
from convserve_server.settings import Settings
from support.artifacts import write_sum
from support.servers import running_app
from support.tokens import SECRETS, write_tokens


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    write_sum(tmp_path)
    with running_app(tmp_path, metrics="127.0.0.1:0", profiling=True) as app:
        yield app


def get(app: App, query: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{app.metrics_port}/debug/profile{query}", timeout=20) as answer:
        return str(answer.read().decode())


def test_the_threads_of_a_running_server_are_in_its_profile(app: App) -> None:
    lines = get(app, "?seconds=0.2").splitlines()
    assert any(line.startswith("loop-0;") and "completion_queue.py" in line for line in lines)
    told = json.loads(get(app, "?seconds=0.2&format=speedscope"))
    assert "loop-0" in [profile["name"] for profile in told["profiles"]]


def test_the_page_is_among_those_that_there_are(app: App) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{app.metrics_port}/", timeout=20)
    assert refused.value.read() == b"there are /metrics, /healthz, /readyz and /debug/profile\n"


def test_the_profile_of_workers_names_each(app: App) -> None:
    assert app.metrics_port is not None
    status, body, _ = ProfilePage(take=of_workers(lambda: {2: app.metrics_port or 0}))("seconds=0.2", None)
    assert status == 200
    assert b"worker 2: loop-0;" in body


def test_without_the_option_there_is_no_such_page(tmp_path: Path) -> None:
    write_sum(tmp_path)
    with running_app(tmp_path, metrics="127.0.0.1:0") as app:
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(app, "?seconds=0.1")
        assert refused.value.code == 404
        refused.value.close()


def test_the_page_needs_a_port(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="give --metrics HOST:PORT, too"):
        App(Settings(repository=tmp_path, listen="127.0.0.1:0", provider="cpu", profiling=True))


def test_with_tokens_a_profile_is_for_administrators(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    tokens = write_tokens(tmp_path / "tokens.toml")
    with running_app(tmp_path / "models", metrics="127.0.0.1:0", profiling=True, tokens=tokens) as app:
        for secret, status in (
            ("", 401),
            ("wrong", 401),
            (SECRETS[Scope.OBSERVE], 403),
            (SECRETS[Scope.ADMINISTER], 200),
        ):
            assert status_of(app, secret) == status
            workers = ProfilePage(take=of_workers(lambda: {1: app.metrics_port or 0}))
            assert workers("seconds=0.05", f"Bearer {secret}" if secret else None)[0] == status


def status_of(app: App, secret: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{app.metrics_port}/debug/profile?seconds=0.05",
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
