"""report.html, an artifact's proof to look at: one file, no scripts, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from torch import nn

from convserve_export import html_charts as charts
from convserve_export.candidate import Candidate
from convserve_export.cases import Array
from convserve_export.check import Check
from convserve_export.html_pictures import picture, tile
from convserve_export.html_plots import Samples
from convserve_export.parameters import layers

FILE = "report.html"
MOST_FILTERS = 64
SOBEL = {
    "sobel_x": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32),
    "sobel_y": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float32),
}
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#0f172a;background:#fff;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin-bottom:0}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid #e2e8f0}
table{border-collapse:collapse}td,th{padding:.25rem .8rem .25rem 0;text-align:left;border-bottom:1px solid #e2e8f0}
td.n,th.n{text-align:right}.row{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;text-align:center;font-size:12px}
img{image-rendering:pixelated;border:1px solid #e2e8f0}pre{background:#f8fafc;padding:1rem;overflow:auto;font-size:13px}
.bad{color:#b91c1c}.note{color:#475569}details{margin:.4rem 0}
"""


def page(
    candidate: Candidate,
    *,
    files: Mapping[str, bytes],
    checks: Sequence[Check],
    attempts: Sequence[Mapping[str, Any]],
    outputs: Mapping[str, tuple[Array, Array]],
    samples: Samples | None,
    exported: str,
) -> bytes:
    """The page. ``outputs`` are what the eager module and each form gave for the same rows, form to (eager, form)."""
    sections = [
        f"<h1>{escape(candidate.name)}</h1><p class='note'>exported {escape(exported)}</p>",
        _section("Architecture", f"<pre>{escape(str(candidate.module))}</pre>"),
        _section("Parameters", _parameters(candidate)),
        _section("The same answers in every form", _parity(outputs)),
        _section("Precisions", _precisions(attempts)),
        _section("What is taken for what", _confusions(candidate, attempts)),
        _section("Pictures", _pictures(candidate, samples)),
        _section("What the first layer looks for", _filters(candidate.module)),
        _section("Sizes", charts.bars([(n, len(d), f"{len(d):,} bytes") for n, d in sorted(files.items())])),
        _section("Checks", _checks(checks)),
    ]
    html = (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(candidate.name)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>"
        f"{''.join(sections)}</body></html>\n"
    )
    return html.encode()


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>{content}" if content else ""


def _parameters(candidate: Candidate) -> str:
    found = layers(candidate.module)
    total = sum(layer.count for layer in found)
    rows = [(f"{la.name} ({la.kind})", float(la.count), f"{la.count:,}") for la in found]
    return f"<p>{total:,} in all</p>" + (charts.bars(rows) if rows else "")


def _parity(outputs: Mapping[str, tuple[Array, Array]]) -> str:
    plots = "".join(charts.scatter(eager, form, title=name) for name, (eager, form) in outputs.items())
    note = "<p class='note'>Each dot is an output: across as PyTorch computes it, up as the form does.</p>"
    return f"<div class='row'>{plots}</div>{note}" if plots else ""


def _precisions(attempts: Sequence[Mapping[str, Any]]) -> str:
    if not attempts:
        return "<p class='note'>Not judged: there were no labelled pictures (--evaluate).</p>"
    head = ("precision", "published", "bytes", "accuracy", "agreement", "images/s, batch 1", "images/s, batch 8")
    cells = "".join(f"<th{' class=n' if i > 1 else ''}>{h}</th>" for i, h in enumerate(head))
    rows = "".join(_precision(a) for a in attempts)
    faults = "".join(
        f"<li class='bad'>{escape(a['precision'])}: {escape(f)}</li>" for a in attempts for f in a["faults"]
    )
    return f"<table><tr>{cells}</tr>{rows}</table>" + (f"<ul>{faults}</ul>" if faults else "")


def _precision(attempt: Mapping[str, Any]) -> str:
    rates = attempt["images_per_second"].get("values", {})
    numbers = [
        f"{attempt['size']:,}",
        f"{attempt['accuracy']:.2%}",
        f"{attempt['agreement']:.2%}",
        *(f"{rates[b]:,.0f}" if b in rates else "" for b in ("1", "8")),
    ]
    cells = "".join(f"<td class='n'>{n}</td>" for n in numbers)
    published = "yes" if attempt["published"] else "<span class='bad'>no</span>"
    return f"<tr><td>{escape(attempt['precision'])}</td><td>{published}</td>{cells}</tr>"


def _confusions(candidate: Candidate, attempts: Sequence[Mapping[str, Any]]) -> str:
    shown = [a for a in attempts if a["precision"] in ("fp32", "int8") and len(a["confusion"]) <= 30]
    plots = [
        charts.confusion(a["confusion"], candidate.labels, title=f"{a['precision']}, {a['accuracy']:.2%}")
        for a in shown
    ]
    note = "<p class='note'>Down: what it is. Across: what it is taken for. Right: accuracy of the class.</p>"
    return f"<div class='row'>{''.join(plots)}</div>{note}" if plots else ""


def _pictures(candidate: Candidate, samples: Samples | None) -> str:
    if samples is None:
        return ""
    weights = np.exp(samples.logits - samples.logits.max(axis=1, keepdims=True))
    shares = weights / weights.sum(axis=1, keepdims=True)
    figures = []
    for i, (pixels, row) in enumerate(zip(samples.pixels, shares, strict=True)):
        truth = f"is {candidate.labels[samples.truth[i]]}\n" if samples.truth is not None else ""
        told = "\n".join(f"{candidate.labels[k]} {row[k]:.0%}" for k in row.argsort()[::-1][:3])
        figures.append(picture(np.ascontiguousarray(pixels), caption=truth + told, size=112))
    return f"<div class='row'>{''.join(figures)}</div>"


def _filters(module: nn.Module) -> str:
    first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or first.in_channels not in (1, 3):
        return ""
    kernels = first.weight.detach().numpy()[:MOST_FILTERS]
    learned = [picture(tile(k if len(k) == 3 else k[0]), caption=str(i), size=48) for i, k in enumerate(kernels)]
    known = [picture(tile(k), caption=name, size=48) for name, k in SOBEL.items()]
    return (
        f"<p>Learned:</p><div class='row'>{''.join(learned)}</div>"
        f"<p>Beside them Sobel's, which find edges by design:</p><div class='row'>{''.join(known)}</div>"
    )


def _checks(checks: Iterable[Check]) -> str:
    rows = "".join(
        f"<tr><td>{'ok' if c.passed else '<span class=bad>no</span>'}</td><td>{escape(c.name)}</td>"
        f"<td>{escape(c.detail)}</td></tr>"
        for c in checks
    )
    return f"<table>{rows}</table>"
