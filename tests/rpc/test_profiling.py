"""A profile over HTTP: of a server that was started with --profiling, alone or as one of several workers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from convserve_server.app import App
from convserve_server.errors import InvalidSettings
from convserve_server.observe.profile_page import ProfilePage, of_workers
from convserve_server.settings import Settings
from support.artifacts import write_sum
from support.servers import running_app


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
