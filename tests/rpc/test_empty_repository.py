"""A server whose repository is empty or closed: it says so, and is not ready before there is something to call."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from convserve_client import Client, RetryPolicy
from convserve_server.app import App
from convserve_server.errors import ModelBroken
from convserve_server.settings import Settings
from support.servers import running_app


def test_a_server_that_follows_an_empty_folder_is_ready_once_there_is_a_model(tmp_path: Path, exported: Path) -> None:
    with (
        running_app(tmp_path, repository_mode="poll", poll_seconds=0.05) as app,
        Client(f"127.0.0.1:{app.port}", retry=RetryPolicy(attempts=1)) as client,
    ):
        assert client.is_live()
        assert not client.is_ready()
        shutil.copytree(exported / "convolve", tmp_path / ".aside")
        (tmp_path / ".aside").rename(tmp_path / "convolve")
        while not client.is_ready():  # pytest's timeout ends this, should it never be
            pass
        assert [model.name for model in client.models()] == ["convolve"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named_in_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    app = App(Settings(repository=tmp_path, listen="127.0.0.1:0", provider="cpu"))
    try:
        with pytest.raises(ModelBroken, match=r"cannot be read: Permission denied; let the user"):
            app.start()
    finally:
        app.stop(grace=0)
        tmp_path.chmod(0o700)
