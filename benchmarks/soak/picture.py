"""A soak as an SVG: memory, threads and descriptors over time, with every reload and every fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from benchmarks.soak.flatness import MEMORY_GROWTH, WARM_UP

_WIDTH, _LEFT, _RIGHT = 900, 74, 24
_INK, _FAINT, _GRID, _LINE, _OTHER, _BAND = "#1f2933", "#6b7785", "#e3e8ee", "#1864ab", "#8a6d3b", "#e7f0fa"
_MEMORY_TOP, _MEMORY_HEIGHT = 84, 210
_COUNT_TOP, _COUNT_HEIGHT = 352, 120
_EVENT_TOP, _EVENT_ROW = 520, 22
_STEPS = 4

Points = Sequence[tuple[float, float]]


def svg(document: dict[str, Any]) -> str:
    """The picture of what report.document gives."""
    samples = document["samples"]
    end = max(document["load"]["seconds"], samples[-1]["seconds"])
    x = _scale(0, end, _LEFT, _WIDTH - _RIGHT)
    parts = [*_heading(document), *_memory(document, x, end), *_counts(samples, x)]
    kinds = {"reloads": True, "faults": False}
    for row, (name, reload) in enumerate(kinds.items()):
        y = _EVENT_TOP + row * _EVENT_ROW
        parts.append(_text(_LEFT - 10, y + 12, name, 13, _FAINT, anchor="end"))
        parts += [
            f'<rect x="{x(event["seconds"]):.1f}" y="{y}" width="1" height="14" fill="{_LINE if reload else _OTHER}" '
            'fill-opacity="0.55"/>'
            for event in document["events"]
            if event["what"].startswith("reload") == reload
        ]
    bottom = _EVENT_TOP + len(kinds) * _EVENT_ROW + 8
    for step in range(7):
        parts.append(_text(x(end * step / 6), bottom + 14, _minutes(end * step / 6), 13, _FAINT, anchor="middle"))
    height = bottom + 30
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _heading(document: dict[str, Any]) -> list[str]:
    seconds, outcomes = document["load"]["seconds"], document["outcomes"]
    calls = sum(count for what, count in outcomes.items() if not what.startswith(("reload", "fault")))
    reloads = sum(count for what, count in outcomes.items() if what.startswith("reload"))
    faults = sum(count for what, count in outcomes.items() if what.startswith("fault"))
    broken = len(document["violations"])
    told = f"{calls:,} calls, {reloads:,} reloads and {faults:,} faults: "
    told += f"{broken} rules broken" if broken else "every answer right, none lost, none doubled"
    where = f"{document['transport']} transport, {document['machine']['cpu']}, {document['machine']['cores']} cores"
    return [
        _text(24, 30, f"{seconds / 60:.0f} minutes of mixed load", 18, _INK, "600"),
        _text(24, 52, told, 14, _INK),
        _text(_WIDTH - _RIGHT, 30, where, 12, _FAINT, anchor="end"),
    ]


def _memory(document: dict[str, Any], x: Callable[[float], float], end: float) -> list[str]:
    points = [(s["seconds"], s["memory_mb"]) for s in document["samples"]]
    most = max(value for _, value in points) * 1.1
    y = _scale(0, most, _MEMORY_TOP + _MEMORY_HEIGHT, _MEMORY_TOP)
    parts = []
    caption = "Resident memory, MB"
    if (held := document["quarters"]) is not None:
        early = held["early"]["memory_mb"]
        top, bottom = y(early * (1 + MEMORY_GROWTH)), y(early * (1 - MEMORY_GROWTH))
        left = x(end * WARM_UP)
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{_WIDTH - _RIGHT - left:.1f}" height="{bottom - top:.1f}" '
            f'fill="{_BAND}"/>'
        )
        caption += f": {held['memory_growth']:+.2%} from the first to the last quarter after the warm-up"
        caption += f" (band: {MEMORY_GROWTH:.0%} around the first)"
    parts += _grid(most, y)
    return [_text(24, _MEMORY_TOP - 8, caption, 13, _FAINT), *parts, _curve(points, x, y, _LINE)]


def _counts(samples: Sequence[dict[str, Any]], x: Callable[[float], float]) -> list[str]:
    curves = {
        "threads": (_LINE, [(s["seconds"], s["threads"]) for s in samples]),
        "descriptors": (_OTHER, [(s["seconds"], s["descriptors"]) for s in samples]),
    }
    most = max(value for _, points in curves.values() for _, value in points) * 1.1
    y = _scale(0, most, _COUNT_TOP + _COUNT_HEIGHT, _COUNT_TOP)
    parts = _grid(most, y)
    for place, (name, (color, points)) in enumerate(curves.items()):
        parts.append(_curve(points, x, y, color))
        parts.append(_text(24 + place * 90, _COUNT_TOP - 10, name.capitalize(), 13, color))
    return parts


def _grid(most: float, y: Callable[[float], float]) -> list[str]:
    parts = []
    for step in range(_STEPS + 1):
        value = most * step / _STEPS
        at = y(value)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="{_GRID}"/>')
        parts.append(_text(_LEFT - 10, at + 4, f"{value:.0f}", 12, _FAINT, anchor="end"))
    return parts


def _curve(points: Points, x: Callable[[float], float], y: Callable[[float], float], color: str) -> str:
    path = "L".join(f"{x(seconds):.1f} {y(value):.1f}" for seconds, value in points)
    return f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="1.6" stroke-linejoin="round"/>'


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    return lambda value: first + (value - low) / (high - low) * (last - first)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 360 else f"{seconds:.0f} s"


def _text(x: float, y: float, words: str, size: int, color: str, weight: str = "400", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )
