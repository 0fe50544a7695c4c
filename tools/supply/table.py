"""THIRD_PARTY_LICENSES.md: a table for people that programs read, too. Only the standard library, as in locks.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tools.supply.locks import ROOT

TABLE = ROOT / "THIRD_PARTY_LICENSES.md"

HEADER = """\
# Licences of what is installed with convserve

convserve is under Apache-2.0 and contains no code of others. Installing it brings the distributions below, from your
package index; each carries its licence's text in its `.dist-info` folder, in the images too. A row is a distribution,
its pinned version, the SPDX expression that its metadata comes to, and the locks in `requirements/` that have it.

torch's wheels bundle libraries of others, which its expression covers. Packages named `nvidia-` are NVIDIA's, under
[NVIDIA's own terms](https://docs.nvidia.com/cuda/eula/index.html): only the extra `cuda` and the image for GPUs have
them. `build` is needed to make a wheel and is in no install. The images also hold Debian's Python and what it needs,
whose licences are in `/usr/share/doc`.

Written by `make constraints`; `make lint` fails for a licence that is not on the list in `tools/supply/licences.py`.

| distribution | version | licence | in |
|---|---|---|---|
"""
_ROW = re.compile(r"^\| ([a-z0-9-]+) \| (\d\S*) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Licence:
    """One distribution at one version: its licence as an SPDX expression, and the locks that have it."""

    name: str
    version: str
    expression: str
    locks: tuple[str, ...]


def render(rows: Iterable[Licence]) -> str:
    """The whole file."""
    lines = (f"| {row.name} | {row.version} | {row.expression} | {', '.join(row.locks)} |\n" for row in rows)
    return HEADER + "".join(lines)


def parse(text: str) -> list[Licence]:
    """The rows of the table."""
    return [
        Licence(name, version, expression, tuple(wanted.split(", ")))
        for name, version, expression, wanted in _ROW.findall(text)
    ]


def read() -> list[Licence]:
    """The rows of the file. Raises OSError where it is missing."""
    return parse(TABLE.read_text(encoding="utf-8"))
