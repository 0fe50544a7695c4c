"""The measurement as Markdown: the machine, the servers side by side, and a verdict for every bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.bars import MANY_ROWS, Verdict, medians

TITLES = {
    "fast": "convserve, fast transport",
    "standard": "convserve, standard transport",
    "aio": "grpc.aio + asyncio batcher",
    "kserve": "KServe",
    "mlserver": "MLServer, batching",
    "mlserver-plain": "MLServer, as it comes",
    "triton": "Triton",
}
_NOTHING = "-"


def markdown(document: dict[str, Any], verdicts: Sequence[Verdict]) -> str:
    """The whole report."""
    rounds = document["rounds"]
    parts = [_setting(document), _servers(document), _echo(rounds), _in_process(rounds), _verdicts(verdicts)]
    if troubles := _troubles(document):
        parts.append(troubles)
    return "\n\n".join(part for part in parts if part) + "\n"


def title(name: str) -> str:
    """How a server is called in tables and pictures."""
    return TITLES.get(name, name)


def _setting(document: dict[str, Any]) -> str:
    facts = document["machine"]
    packages = ", ".join(
        f"{k} {v}" for k, v in facts.items() if k not in ("cpu", "cores", "memory", "system", "python")
    )
    rounds = f"{len(document['rounds'])} round" + "s" * (len(document["rounds"]) != 1)
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory']}, {facts['system']}, Python {facts['python']}, "
        f"{packages}. Load by {document['generator']} (fixed rate: convserve bench) on the same cores; medians of "
        f"{rounds} in turn, one server running at a time."
    )


def _servers(document: dict[str, Any]) -> str:
    rounds = document["rounds"]
    names = [name for name in document["servers"] if medians(rounds, "servers", name, "one", "throughput") is not None]
    if not names:
        return ""
    heading = (
        "server",
        "1 image: requests/s",
        "p50 / p95 / p99 ms",
        "CPU a request",
        "alone: p50",
        f"{MANY_ROWS} images: images/s",
        "CPU a request",
        "at 70 %: p50 / p99 ms",
        "idle CPU",
        "memory",
        "ready",
    )

    def row(name: str) -> list[str]:
        def cell(*path: str, form: str = "{:.2f}", scale: float = 1.0) -> str:
            found = medians(rounds, "servers", name, *path)
            return _NOTHING if found is None else form.format(found * scale)

        return [
            title(name),
            cell("one", "throughput", form="{:,.0f}"),
            " / ".join(cell("one", p, form="{:.1f}") for p in ("p50", "p95", "p99")),
            cell("one", "cpu_us", form="{:.0f} µs"),
            cell("lone", "p50", form="{:.2f} ms"),
            cell("many", "throughput", form="{:,.0f}", scale=MANY_ROWS),
            cell("many", "cpu_us", form="{:.2f} ms", scale=1e-3),
            " / ".join(cell("rate", p) for p in ("p50", "p99")),
            cell("idle_cpu", form="{:.1f} %", scale=100),
            cell("memory_mb", form="{:.0f} MB"),
            cell("ready_seconds", form="{:.2f} s"),
        ]

    return _table([heading, *map(row, names)])


def _echo(rounds: Sequence[dict[str, Any]]) -> str:
    rows = [("no inference, 4 x 8", "requests/s", "p50 / p99 ms", "server CPU a request")]
    for kind in ("fast", "standard", "aio"):
        found = {key: medians(rounds, "echo", kind, "one", key) for key in ("throughput", "p50", "p99", "cpu_us")}
        if found["throughput"] is not None:
            name = "grpc.aio" if kind == "aio" else title(kind)
            delays = f"{found['p50']:.2f} / {found['p99']:.2f}"
            rows.append((name, f"{found['throughput']:,.0f}", delays, f"{found['cpu_us']:.0f} µs"))
    return _table(rows) if len(rows) > 1 else ""


def _in_process(rounds: Sequence[dict[str, Any]]) -> str:
    rows = [("ONNX Runtime in process", "images/s", "CPU an image", "p50 of a run")]
    for key, name in (
        ("batch_8", "2 callers, batch 8"),
        ("batch_32", "2 callers, batch 32"),
        ("lone", "1 caller, 1 image"),
    ):
        speed = medians(rounds, "in_process", key, "images_per_second")
        cpu = medians(rounds, "in_process", key, "cpu_us_per_image")
        delay = medians(rounds, "in_process", key, "p50_ms")
        if speed is not None:
            rows.append((name, f"{speed:,.0f}", f"{cpu:.0f} µs", f"{delay:.3f} ms"))
    return _table(rows) if len(rows) > 1 else ""


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    words = {True: "met", False: "**not met**", None: _NOTHING}
    rows = [(v.workload, v.bar, v.measured, words[v.met]) for v in verdicts]
    return _table([("workload", "bar", "measured: median (lowest to highest round)", "verdict"), *rows])


def _troubles(document: dict[str, Any]) -> str:
    lines = [f"- {title(name)}: {reason}" for name, reason in document["skipped"].items()]
    for number, measured in enumerate(document["rounds"], 1):
        lines += [f"- {title(n)}, round {number}: {reason}" for n, reason in measured["failures"].items()]
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    heading, *rest = rows
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rest)])
