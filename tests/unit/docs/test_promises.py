"""docs/promises.md names only tests that exist, and every promise names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "docs" / "promises.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| promise")
]


def test_there_are_promises() -> None:
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_the_test_of_a_promise_exists(row: tuple[str, ...]) -> None:
    promise, test, _ = row
    named = re.fullmatch(r"`([\w/]+\.py)(?:::(\w+))?`", test)
    assert named, f"'{promise}' names no test: {test}"
    tree = ast.parse((ROOT / named[1]).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert named[2] in names if named[2] else any(name.startswith("test_") for name in names)
