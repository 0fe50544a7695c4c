"""The overload curve as an SVG: offered against answered and refused requests, and latencies, over the offered rate."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _LEFT, _RIGHT, _HEIGHT, _GAP = 900, 80, 190, 220, 70
_INK, _FAINT, _GRID = "#1f2933", "#6b7785", "#e3e8ed"
_OFFERED, _ANSWERED, _REFUSED, _LATE, _P50 = "#a9b6c3", "#1864ab", "#8a6d3b", "#b02a37", "#5c940d"

Line = tuple[str, str, list[float]]
"""Name, colour and a value for each point."""


def svg(document: dict[str, Any]) -> str:
    """The picture of what benchmarks.overload has measured."""
    points = document["points"]
    factors = [p["factor"] for p in points]

    def of(key: str) -> list[float]:
        return [p[key] for p in points]

    rates: list[Line] = [
        ("offered", _OFFERED, of("offered")),
        ("answered in time", _ANSWERED, of("accepted")),
        ("refused", _REFUSED, of("refused")),
        ("late", _LATE, of("late")),
    ]
    times: list[Line] = [
        ("answered, p99", _ANSWERED, of("p99")),
        ("answered, p50", _P50, of("p50")),
        ("refused, p99", _REFUSED, of("refusal_p99")),
    ]
    height = 2 * (_HEIGHT + _GAP) + 60
    parts = _panel(50, "Requests a second", factors, rates, max(of("offered")))
    top = 50 + _HEIGHT + _GAP
    limit = document["deadline_ms"]
    parts += _panel(top, f"Milliseconds; the deadline is {limit:g}", factors, times, limit)
    host = document["machine"]
    where = "one CPU for the server, one for the load" if document["pinned"] else "cores shared with the load generator"
    footer = (
        f"offered, in times of the capacity of {document['capacity']:,.0f}/s; {document['rows']} rows a request; "
        f"{host['cpu']}, {where}"
    )
    parts.append(_text(_LEFT, height - 12, footer, 12, _FAINT))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(top: float, heading: str, factors: Sequence[float], lines: Sequence[Line], most: float) -> list[str]:
    room = _WIDTH - _LEFT - _RIGHT
    bottom = top + _HEIGHT

    def x(factor: float) -> float:
        return _LEFT + factor / max(factors) * room

    def y(value: float) -> float:
        return bottom - min(value, most) / most * _HEIGHT

    parts = [_text(_LEFT, top - 16, heading, 16, _INK, "600")]
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        height = y(part * most)
        parts.append(f'<path d="M{_LEFT} {height:.1f}H{_LEFT + room}" stroke="{_GRID}"/>')
        parts.append(_text(_LEFT - 8, height + 4, f"{part * most:,.0f}", 12, _FAINT, anchor="end"))
    marked = (f for f in factors if f % 0.5 == 0)
    parts += [_text(x(f), bottom + 18, f"{f:g} x", 12, _FAINT, anchor="middle") for f in marked]
    used: list[float] = []
    for name, color, values in lines:
        path = " ".join(f"{x(f):.1f},{y(v):.1f}" for f, v in zip(factors, values, strict=True))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        label = y(values[-1]) + 4
        while any(abs(label - other) < 16 for other in used):
            label -= 16
        used.append(label)
        parts.append(_text(_LEFT + room + 10, label, name, 13, color))
    return parts


def _text(x: float, y: float, words: str, size: int, color: str, weight: str = "400", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
