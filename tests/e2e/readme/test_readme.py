"""Every command and every piece of code in the README works, and prints what the README says."""

from __future__ import annotations

import shlex
import sys

import pytest

from tools import option_table

from .blocks import README, Block, Command, blocks, commands, section, shape
from .conftest import ADDRESS, ROOT, Place

pytestmark = pytest.mark.timeout(300)

TEXT = README.read_text(encoding="utf-8")
BLOCKS = list(blocks(TEXT))


def by_line(block: Block) -> str:
    return f"line {block.line}"


def in_language(language: str) -> list[Block]:
    return [block for block in BLOCKS if block.language == language]


CONSOLE = [command for block in in_language("console") for command in commands(block)]
MAKE = [command for command in CONSOLE if command.text.startswith("make ")]
PIP = [command for command in CONSOLE if command.text.startswith("pip ")]
SERVER = [c for c in CONSOLE if c.text.startswith("convserve-server ") and "--make-token" not in c.text]
# tests/e2e/containers runs these.
CONTAINERS = section(TEXT, "Containers")
OTHER = [c for c in CONSOLE if c not in [*MAKE, *PIP, *SERVER, *CONTAINERS]]


def by_text(command: Command) -> str:
    return command.text


def test_every_block_is_run_or_shows_files() -> None:
    assert {block.language for block in BLOCKS} == {"console", "python", "text"}
    assert MAKE
    assert PIP
    assert SERVER
    assert OTHER


@pytest.mark.parametrize("command", MAKE, ids=by_text)
def test_make_has_the_target(command: Command, place: Place) -> None:
    """What the targets do is tried elsewhere: `make test` runs this, and test_demo.py runs the demo."""
    place.run([*shlex.split(command.text), "--dry-run"], cwd=ROOT)


@pytest.mark.parametrize("command", PIP, ids=by_text)
def test_pip_finds_all_that_is_asked_for(command: Command, place: Place) -> None:
    """Resolved, not installed: tests/e2e/install installs."""
    _, *arguments = shlex.split(command.text)
    place.run(
        [sys.executable, "-W", "ignore", "-m", "pip", *arguments, "--dry-run", "--quiet"],
        cwd=ROOT,
    )


@pytest.mark.parametrize("command", SERVER, ids=by_text)
def test_a_server_starts_and_stops(command: Command, place: Place) -> None:
    with place.serving(shlex.split(command.text)) as address:
        assert "is ready" in place.run(["convserve", "health", "--server", address])


@pytest.mark.parametrize("command", OTHER, ids=by_text)
def test_a_command_prints_what_the_readme_says(command: Command, place: Place) -> None:
    printed = place.run(["bash", "-c", command.text.replace(ADDRESS, place.address)])
    shapes = {shape(line.replace(place.address, ADDRESS)) for line in printed.splitlines()}
    assert [line for line in command.output if shape(line) not in shapes] == [], printed


@pytest.mark.parametrize("block", in_language("python"), ids=by_line)
def test_code_runs(block: Block, place: Place) -> None:
    assert place.run([sys.executable, "-c", block.text.replace(ADDRESS, place.address)])


def test_the_table_of_the_servers_options_is_complete() -> None:
    """Every option with its variable, default and sentence, and no others; `python -m tools.option_table` writes it."""
    assert [table[0] for table in option_table.ROW.finditer(TEXT)] == [option_table.rows()]
