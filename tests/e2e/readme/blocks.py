"""The README's fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).resolve().parents[3] / "README.md"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d[\d.,]*")
_BAR = re.compile(r"[█▏▎▍▌▋▊▉]+")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line that it starts on."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A line behind a `$`, and the lines that the README says it prints."""

    text: str
    output: tuple[str, ...]


def blocks(markdown: str) -> Iterator[Block]:
    """Every fenced block."""
    for match in _FENCE.finditer(markdown):
        yield Block(match.group(1), match.group(2), markdown.count("\n", 0, match.start()) + 1)


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block, in order."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        text, *output = part.splitlines()
        yield Command(text, tuple(line for line in output if line.strip()))


def section(markdown: str, heading: str) -> list[Command]:
    """The commands of a section, in order."""
    text = markdown.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [command for block in blocks(text) for command in commands(block)]


def shape(line: str) -> str:
    """A line without what differs between machines: numbers, the length of bars, spacing."""
    return " ".join(_NUMBER.sub("#", _BAR.sub("", line)).split())
