"""Charts as inline SVG: bars, a scatter of two forms' outputs, a confusion matrix. Plain text, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from convserve_export.cases import Array

BLUE, ORANGE, GREY = "#2563a8", "#c2410c", "#94a3b8"


def bars(rows: Sequence[tuple[str, float, str]], *, color: str = BLUE, width: int = 640) -> str:
    """Horizontal bars: name, length in any unit, and what stands at its end."""
    longest = max((value for _, value, _ in rows), default=0) or 1
    left, right, height = 150, 150, 24
    parts = []
    for i, (name, value, text) in enumerate(rows):
        y, length = i * height, max(1.0, value / longest * (width - left - right))
        parts.append(
            f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{left}" y="{y + 4}" width="{length:.1f}" height="16" rx="2" fill="{color}"/>'
            f'<text x="{left + length + 6:.1f}" y="{y + 16}">{escape(text)}</text>'
        )
    return _svg(width, len(rows) * height, "".join(parts))


def scatter(expected: Array, got: Array, *, title: str, size: int = 260) -> str:
    """Each number of one form against that of another; equal ones lie on the diagonal."""
    x, y = expected.reshape(-1).astype(float), got.reshape(-1).astype(float)
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    span, edge = (high - low) or 1.0, 30
    inner = size - 2 * edge

    def at(value: float) -> float:
        return edge + (value - low) / span * inner

    dots = "".join(
        f'<circle cx="{at(a):.1f}" cy="{size - at(b):.1f}" r="2" fill="{BLUE}" fill-opacity="0.45"/>'
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    )
    frame = (
        f'<rect x="{edge}" y="{edge}" width="{inner}" height="{inner}" fill="none" stroke="{GREY}"/>'
        f'<line x1="{edge}" y1="{size - edge}" x2="{size - edge}" y2="{edge}" stroke="{GREY}" stroke-dasharray="3 3"/>'
        f'<text x="{size / 2}" y="18" text-anchor="middle" font-weight="600">{escape(title)}</text>'
        f'<text x="{edge}" y="{size - 10}">{low:.3g}</text>'
        f'<text x="{size - edge}" y="{size - 10}" text-anchor="end">{high:.3g}</text>'
    )
    return _svg(size, size, frame + dots)


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], *, title: str) -> str:
    """Pictures by true class (down) and best class (across), and the accuracy of each class."""
    counts = np.array(matrix, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell, left, top = 34, 96, 92
    parts = [f'<text x="{left}" y="14" font-weight="600">{escape(title)}</text>']
    size = len(labels)
    for i, label in enumerate(labels):
        x, y = left + i * cell + cell / 2, top + i * cell + cell / 2
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<text transform="translate({x + 4},{top - 6}) rotate(-50)">{escape(label)}</text>')
        parts.append(f'<text x="{left + size * cell + 8}" y="{y + 4}">{shares[i, i]:.1%}</text>')
        for j in range(size):
            share, color = shares[i, j], BLUE if i == j else ORANGE
            # The square root shows small confusions, too.
            parts.append(
                f'<rect x="{left + j * cell}" y="{top + i * cell}" width="{cell - 1}" height="{cell - 1}" '
                f'fill="{color}" fill-opacity="{share**0.5:.3f}" stroke="#e2e8f0" stroke-width="0.5"/>'
            )
            if counts[i, j]:
                ink = "#fff" if share > 0.25 else "#0f172a"
                parts.append(
                    f'<text x="{left + j * cell + cell / 2}" y="{y + 4}" text-anchor="middle" fill="{ink}" '
                    f'font-size="11">{int(counts[i, j])}</text>'
                )
    return _svg(left + size * cell + 60, top + size * cell + 6, "".join(parts))


def _svg(width: float, height: float, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg" font-size="12" fill="#0f172a">{content}</svg>'
    )
