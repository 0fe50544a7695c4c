"""The documents can be read in any editor: lines fit the width of the code. Tables and code may be wide."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
WIDTH = 120


@pytest.mark.parametrize("name", ["architecture.md", "protocol.md"])
def test_prose_fits_the_width_of_the_code(name: str) -> None:
    code, wide = False, []
    for number, line in enumerate((DOCS / name).read_text(encoding="utf-8").splitlines(), 1):
        code ^= line.startswith("```")
        if len(line) > WIDTH and not code and not line.startswith("|"):
            wide.append(f"{name}:{number} has {len(line)} columns")
    assert wide == []
