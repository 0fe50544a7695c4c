"""How measured settings are shown."""

from __future__ import annotations

from collections.abc import Mapping

from convserve_server.tuning.candidates import Candidate, Figures

_HEAD = ("instances", "threads", "max batch", "rows/s", "p50 ms", "p95 ms", "alone ms")


def table(measured: Mapping[Candidate, Figures], chosen: Candidate) -> str:
    """A line for each candidate, with a mark at the chosen one."""
    rows = [_HEAD, *(_cells(candidate, figures) for candidate, figures in measured.items())]
    marks = ["", *("  <- best" if candidate == chosen else "" for candidate in measured)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + mark
        for row, mark in zip(rows, marks, strict=True)
    )


def _cells(candidate: Candidate, figures: Figures) -> tuple[str, ...]:
    times = (figures.p50, figures.p95, figures.alone)
    sizes = (candidate.instances, candidate.threads, candidate.max_batch_size)
    return (*map(str, sizes), f"{figures.rate:,.0f}", *(f"{1000 * t:.2f}" for t in times))
