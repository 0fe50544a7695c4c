"""The safe start that docs/operations.md shows works as it is written, and lets nobody else in."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator

import pytest

from .blocks import blocks, commands, shape
from .conftest import ROOT, Place

ADDRESS = "localhost:8001"
METRICS = "127.0.0.1:9090"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
]

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = [c for block in blocks(TEXT) if block.language == "console" for c in commands(block)]
PREPARING = [c for c in COMMANDS if not c.text.startswith("convserve")]
[SERVER] = [c for c in COMMANDS if c.text.startswith("convserve-server ")]
CALLS = [c for c in COMMANDS if c.text.startswith("convserve ")]


@pytest.fixture(scope="module")
def secured(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("operations")
    shutil.copytree(place.folder / "artifacts", folder / "artifacts")
    shutil.copy(place.folder / "cat.jpg", folder)
    here = Place(folder)
    for command in PREPARING:
        here.run(["bash", "-c", command.text])
    with here.serving(shlex.split(SERVER.text.replace(METRICS, "127.0.0.1:0"))) as address:
        yield Place(folder, address.replace("127.0.0.1", "localhost"))


def test_the_calls_print_what_the_page_says(secured: Place) -> None:
    assert CALLS
    for command in CALLS:
        printed = secured.run(["bash", "-c", command.text.replace(ADDRESS, secured.address)])
        shapes = {shape(line.replace(secured.address, ADDRESS)) for line in printed.splitlines()}
        assert [line for line in command.output if shape(line) not in shapes] == [], printed


def test_the_server_has_nothing_to_warn_of(secured: Place) -> None:
    log = (secured.folder / "server.log").read_text()
    assert "ready" in log
    assert "WARNING" not in log


@pytest.mark.parametrize("name", ["server.key", "tokens.toml", "token.txt"])
def test_what_is_secret_is_the_owners_alone(secured: Place, name: str) -> None:
    assert (secured.folder / name).stat().st_mode & 0o077 == 0


def test_without_the_token_nobody_comes_in(secured: Place) -> None:
    [call] = [c for c in CALLS if " classify " in c.text]
    without = call.text.replace(" --token-file token.txt", "").replace(ADDRESS, secured.address)
    assert without != call.text
    assert "UNAUTHENTICATED" in secured.run(["bash", "-c", f"! {without}"])
