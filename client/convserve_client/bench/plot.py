"""A picture of latencies by percentile, drawn with Pillow."""

from __future__ import annotations

import io
import math

from PIL import Image, ImageDraw, ImageFont

from convserve_client.bench.histogram import Histogram

_SCALE = 2  # drawn at twice the size, for screens with fine dots
_WIDTH, _HEIGHT = 860 * _SCALE, 440 * _SCALE
_LEFT, _RIGHT, _TOP, _BOTTOM = 70 * _SCALE, 30 * _SCALE, 84 * _SCALE, 58 * _SCALE
_INK, _FAINT, _GRID, _LINE, _FILL = "#1f2933", "#6b7785", "#e4e8ec", "#1864ab", "#dbe9f6"
_NINES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_MARKED = (0.5, 0.9, 0.99, 0.999)
_STEPS = 240

_Point = tuple[float, float]


def png(latency: Histogram, title: str, subtitle: str) -> bytes:
    """The latencies as a PNG: percentiles, stretched towards 100 %, against milliseconds.

    Raises ValueError where nothing was counted.
    """
    if not latency.count:
        raise ValueError("no request was answered, so there is nothing to plot")
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    _Plot(ImageDraw.Draw(image), latency).draw(title, subtitle)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


class _Plot:
    def __init__(self, draw: ImageDraw.ImageDraw, latency: Histogram) -> None:
        self._draw, self._latency = draw, latency
        # As far to the right as the count can tell: the last tenth of a percentile needs ten requests.
        last = max(0.9, 1 - 1 / max(2, latency.count))
        self._ticks = [f for f in _NINES if f <= last]
        self._stretch = -math.log10(1 - last)
        self._step, top = _scale(latency.longest * 1e3)
        self._top = top

    def draw(self, title: str, subtitle: str) -> None:
        self._text((_LEFT, 20 * _SCALE), title, 19, _INK)
        self._text((_LEFT, 48 * _SCALE), subtitle, 13, _FAINT)
        self._axes()
        self._curve()
        for fraction in _MARKED:
            if fraction in self._ticks:
                self._mark(fraction)

    def _x(self, fraction: float) -> float:
        return _LEFT - math.log10(1 - fraction) / self._stretch * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, milliseconds: float) -> float:
        return _HEIGHT - _BOTTOM - milliseconds / self._top * (_HEIGHT - _TOP - _BOTTOM)

    def _axes(self) -> None:
        for number in range(round(self._top / self._step) + 1):
            value = number * self._step
            y = self._y(value)
            self._draw.line([(_LEFT, y), (_WIDTH - _RIGHT, y)], _INK if number == 0 else _GRID, _SCALE)
            self._text((_LEFT - 8 * _SCALE, y), f"{value:g} ms", 12, _FAINT, "rm")
        for fraction in self._ticks:
            x = self._x(fraction)
            self._draw.line([(x, _TOP), (x, _HEIGHT - _BOTTOM + 4 * _SCALE)], _GRID, _SCALE)
            self._text((x, _HEIGHT - _BOTTOM + 8 * _SCALE), f"{fraction * 100:.6g} %", 12, _FAINT, "mt")
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        self._text((middle, _HEIGHT - 22 * _SCALE), "of the requests were answered within", 12, _FAINT, "mt")

    def _curve(self) -> None:
        fractions = [1 - 10 ** (-self._stretch * step / _STEPS) for step in range(_STEPS + 1)]
        values = self._latency.percentiles(fractions)
        points: list[_Point] = [(self._x(f), self._y(v * 1e3)) for f, v in zip(fractions, values, strict=True)]
        floor = self._y(0)
        self._draw.polygon([(points[0][0], floor), *points, (points[-1][0], floor)], _FILL)
        self._draw.line(points, _LINE, 2 * _SCALE, joint="curve")
        self._draw.line([(_LEFT, floor), (_WIDTH - _RIGHT, floor)], _INK, _SCALE)

    def _mark(self, fraction: float) -> None:
        value = self._latency.percentile(fraction) * 1e3
        x, y, radius = self._x(fraction), self._y(value), 4 * _SCALE
        self._draw.ellipse([x - radius, y - radius, x + radius, y + radius], _LINE)
        # To the left, where the curve is never higher than the point.
        self._text((x - radius, y - 6 * _SCALE), f"p{fraction * 100:g}  {value:.3g} ms", 13, _INK, "rb")

    def _text(self, at: _Point, words: str, size: int, color: str, anchor: str = "la") -> None:
        font = ImageFont.load_default(size * _SCALE)
        width = self._draw.textlength(words, font)
        left = at[0] - {"l": 0.0, "m": width / 2, "r": width}[anchor[0]]
        left = min(max(left, 6 * _SCALE), _WIDTH - 6 * _SCALE - width)
        self._draw.text((left, at[1]), words, color, font, "l" + anchor[1])


def _scale(longest: float) -> tuple[float, float]:
    """Distance of the grid's lines, 1, 2 or 5 times a power of ten, and the first line above ``longest``."""
    rough = max(longest, 1e-6) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return step, step * (math.floor(longest / step) + 1)
