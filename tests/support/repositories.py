"""A repository in the test's own process, as the server makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convserve_server.app import make_repository
from convserve_server.engine.repository import Repository
from convserve_server.settings import Settings


def new_repository(folder: Path, **settings: Any) -> Repository:
    """A repository on the CPU with one instance a model; nothing is loaded yet."""
    return make_repository(Settings(repository=folder, provider="cpu", instances=1, threads=1, **settings))


def loaded(folder: Path, **settings: Any) -> Repository:
    """The same, with everything loaded that is there."""
    repository = new_repository(folder, **settings)
    repository.load()
    return repository
