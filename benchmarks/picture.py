"""The servers side by side as an SVG: throughput and CPU a request, in bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from benchmarks.bars import medians
from benchmarks.report import title

_WIDTH, _NAME, _BAR, _ROW, _GAP = 900, 230, 26, 38, 46
_INK, _FAINT, _OURS, _THEIRS, _LIMIT = "#1f2933", "#6b7785", "#1864ab", "#a9b6c3", "#8a6d3b"
_OWN = ("fast", "standard")

Row = tuple[str, float, str]
"""Name, value, colour."""


def svg(document: dict[str, Any]) -> str:
    """The picture; panels without figures are left out."""
    rounds, names = document["rounds"], document["servers"]
    panels: list[tuple[str, str, list[Row]]] = [
        ("Requests a second, 1 image each", "{:,.0f}", _rows(rounds, names, ("one", "throughput"))),
        ("Server CPU a request, 1 image each", "{:,.0f} µs", _rows(rounds, names, ("one", "cpu_us"))),
    ]
    for index, key in enumerate(("images_per_second", "cpu_us_per_image")):
        if panels[index][2] and (limit := medians(rounds, "in_process", "batch_8", key)) is not None:
            panels[index][2].append(("ONNX Runtime in process", limit, _LIMIT))
    parts, top = [], 24
    for heading, form, rows in panels:
        if rows:
            parts += _panel(top, heading, form, rows)
            top += _GAP + _ROW * len(rows) + 18
    machine = document["machine"]
    footer = (
        f"{machine['cpu']}, {machine['cores']} cores shared with the load generator; medians of {len(rounds)} rounds"
    )
    parts.append(_text(24, top + 8, footer, 12, _FAINT))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 30}" width="{_WIDTH}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
        f'<rect width="{_WIDTH}" height="{top + 30}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _rows(rounds: Sequence[dict[str, Any]], names: Sequence[str], path: tuple[str, str]) -> list[Row]:
    found = ((name, medians(rounds, "servers", name, *path)) for name in names)
    return [(title(n), v, _OURS if n in _OWN else _THEIRS) for n, v in found if v is not None]


def _panel(top: int, heading: str, form: str, rows: Sequence[Row]) -> list[str]:
    longest = max(value for _, value, _ in rows)
    room = _WIDTH - 24 - _NAME - 110
    parts = [_text(24, top + 18, heading, 17, _INK, "600")]
    for number, (name, value, color) in enumerate(rows):
        y = top + _GAP - 8 + number * _ROW
        width = max(2.0, value / longest * room)
        parts += [
            _text(24 + _NAME - 12, y + _BAR / 2 + 5, name, 14, _INK, anchor="end"),
            f'<rect x="{24 + _NAME}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="3" fill="{color}"/>',
            _text(24 + _NAME + width + 8, y + _BAR / 2 + 5, form.format(value), 14, _INK),
        ]
    return parts


def _text(x: float, y: float, words: str, size: int, color: str, weight: str = "400", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
