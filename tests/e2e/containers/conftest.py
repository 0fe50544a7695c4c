"""The engine, built images and the Compose project that the container tests share; all of it is gone in the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from PIL import Image

from .engine import Engine, NoEngine, running_engine
from .stack import Stack

ASKED = "CONVSERVE_TEST_CONTAINERS"


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if not os.environ.get(ASKED):
        pytest.skip("containers take minutes: `make test-containers` runs these")
    try:
        with running_engine() as running:
            yield running
    except NoEngine as reason:
        pytest.skip(f"no containers here: {reason}")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the reader of the README has in the current folder."""
    folder = tmp_path_factory.mktemp("pictures")
    folder.chmod(0o755)
    with Image.open(Path(str(resources.files("skimage") / "data" / "chelsea.png"))) as cat:
        cat.save(folder / "cat.jpg", quality=95)
    return folder


@pytest.fixture(scope="session")
def images(engine: Engine, pictures: Path) -> Stack:
    """All images but the one for GPUs, built; nothing runs yet."""
    stack = Stack(engine, f"convserve-test-{os.getpid()}", pictures)
    files = [word for file in engine.build_files for word in ("-f", str(file))]
    if files:
        files = ["-f", "docker-compose.yml", *files]
    # One after the other: they share most of their stages.
    for service in ("client", "server", "export"):
        stack.run("docker", "compose", *files, "build", "--quiet", service)
    engine.built()
    return stack


@pytest.fixture(scope="module")
def stack(images: Stack) -> Iterator[Stack]:
    """The project as `docker compose up` makes it: exported, and one server healthy."""
    try:
        images.compose("up", "--detach", "--wait", "--no-build", "server")
        yield images
    finally:
        images.environment.pop("CONVSERVE_PORT", None)
        images.down()


@pytest.fixture(scope="module")
def replicas(stack: Stack) -> Stack:
    """Three servers behind Envoy, on 127.0.0.1:8080."""
    stack.environment["CONVSERVE_PORT"] = ""
    stack.compose(
        "--profile", "scale", "up", "--detach", "--wait", "--no-build", "--scale", "server=3", "server", "envoy"
    )
    return stack
