"""What a server does with more than it can do: offered against answered requests, latencies, and how fast it refuses.

python -m benchmarks.overload [--rows 8] [--deadline 0.25] [--seconds 5] [--out FOLDER]

The capacity is the throughput of a closed loop. Then requests are sent at fixed rates, from 0.25 to 3 times that, each
with a deadline, whatever the server does (an open loop). It ends by itself, within a few minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convserve_client.bench.plan import Plan
from convserve_client.bench.run import run

from benchmarks import machine
from benchmarks.__main__ import DEFAULT_OUT, _export
from benchmarks.contenders import convserve
from benchmarks.curve import svg
from benchmarks.rounds import infer_question, pixel_question
from benchmarks.servers import Question, Running, running

FACTORS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_WARM_UP = 1.0
_CONNECTIONS = 4


@dataclass(frozen=True)
class Point:
    """One offered rate; requests a second, and milliseconds."""

    factor: float
    offered: float
    accepted: float
    """Answered with OK, before their deadline."""
    refused: float
    """Answered with RESOURCE_EXHAUSTED."""
    late: float
    """Accepted, it seems, and not answered before their deadline."""
    p50: float
    p99: float
    """Of those answered with OK, from when they were due."""
    refusal_p50: float
    refusal_p99: float
    """Of those refused, from when they were sent."""
    lag_p99: float
    """By how much the generator was late."""
    codes: dict[str, int]


def main() -> int:
    """Measure, write overload.json, overload.md and overload.svg."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the server is stopped
    args.out.mkdir(parents=True, exist_ok=True)
    repository = args.repository or _export(args.out / "artifacts")
    question = pixel_question(args.rows) if args.pixels else infer_question(args.rows)
    server = convserve(args.transport, repository, args.server_option)
    cpus = sorted(os.sched_getaffinity(0))
    if args.pin:
        # What is started now inherits this: the server has one CPU, and we another.
        os.sched_setaffinity(0, {cpus[0]})
    with running(server, question, args.out / "server.log") as process:
        if args.pin:
            os.sched_setaffinity(0, {cpus[-1]})
        capacity = max(_capacity(process, question, args) for _ in range(2))
        print(f"capacity {capacity:,.0f} requests a second", file=sys.stderr, flush=True)
        points = [_point(process, question, factor, capacity, args) for factor in FACTORS]
    document: dict[str, Any] = {
        "machine": machine.describe(),
        "rows": args.rows,
        "pixels": args.pixels,
        "pinned": args.pin,
        "deadline_ms": args.deadline * 1e3,
        "capacity": capacity,
        "points": [asdict(point) for point in points],
    }
    (args.out / "overload.json").write_text(json.dumps(document, indent=2) + "\n")
    (args.out / "overload.md").write_text(table(document))
    (args.out / "overload.svg").write_text(svg(document))
    print(table(document))
    return 0


def _capacity(process: Running, question: Question, args: argparse.Namespace) -> float:
    plan = _plan(process, question, args, timeout=20.0, rate=None)
    return run(plan).throughput


def _point(process: Running, question: Question, factor: float, capacity: float, args: argparse.Namespace) -> Point:
    rate = factor * capacity
    result = run(_plan(process, question, args, timeout=args.deadline, rate=rate))
    p50, p99 = (1e3 * value for value in result.latency.percentiles([0.5, 0.99]))
    refusals = [1e3 * v for v in result.refusal.percentiles([0.5, 0.99])] if result.refusal.count else [0.0, 0.0]
    point = Point(
        factor=factor,
        offered=rate,
        accepted=result.latency.count / args.seconds,
        refused=result.errors["RESOURCE_EXHAUSTED"] / args.seconds,
        late=result.errors["DEADLINE_EXCEEDED"] / args.seconds,
        p50=p50,
        p99=p99,
        refusal_p50=refusals[0],
        refusal_p99=refusals[1],
        lag_p99=1e3 * result.lag.percentile(0.99),
        codes={"OK": result.latency.count, **result.errors},
    )
    print(f"  {factor:g} x: {point}", file=sys.stderr, flush=True)
    return point


def _plan(
    process: Running, question: Question, args: argparse.Namespace, *, timeout: float, rate: float | None
) -> Plan:
    return Plan(
        link={"target": process.address, "timeout": timeout},
        method=question.method,
        body=question.body,
        rows=args.rows,
        rate=rate,
        concurrency=32,
        connections=_CONNECTIONS,
        processes=args.processes,
        seconds=args.seconds,
        warm_up=_WARM_UP,
    )


def table(document: dict[str, Any]) -> str:
    """The points as a table."""
    head = "| offered | of capacity | answered in time | refused | late | p50 / p99 ms | refusal p50 / p99 | lag p99 |"
    rows = [head, "|---" * 8 + "|"]
    rows += [
        f"| {p['offered']:,.0f}/s | {p['factor']:g} x | {p['accepted']:,.0f}/s | {p['refused']:,.0f}/s "
        f"| {p['late']:,.0f}/s | {p['p50']:.1f} / {p['p99']:.1f} | {p['refusal_p50']:.1f} / {p['refusal_p99']:.1f} "
        f"| {p['lag_p99']:.1f} |"
        for p in document["points"]
    ]
    return "\n".join(rows) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overload", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument(
        "--rows", type=int, default=8, help="rows a request; with 1, the generator needs more than we do"
    )
    parser.add_argument("--pixels", action="store_true", help="send pixels (uint8), a quarter of the bytes of values")
    parser.add_argument("--deadline", type=float, default=0.25, metavar="SECONDS", help="of each request")
    parser.add_argument("--seconds", type=float, default=5.0, help="at each rate")
    parser.add_argument("--processes", type=int, default=1, help="of the load generator")
    parser.add_argument("--pin", action="store_true", help="one CPU for the server, another one for the generator")
    parser.add_argument("--transport", default="fast", choices=("fast", "standard"))
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for the results")
    parser.add_argument("--repository", type=Path, help="artifacts with simple_cnn (default: exported to the folder)")
    parser.add_argument("--server-option", action="append", default=[], metavar="OPTION")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
