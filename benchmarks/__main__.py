"""Measures convserve and its peers in turn over several rounds, and says which bars are met.

python -m benchmarks [--quick] [--only fast aio] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from convserve_client.errors import ConvserveError

from benchmarks import machine
from benchmarks.bars import BARS
from benchmarks.contenders import ECHOES, MODEL, NAMES, contenders
from benchmarks.load import generator
from benchmarks.picture import svg
from benchmarks.report import markdown
from benchmarks.rounds import QUICK, Times, measure_echo, measure_in_process, measure_running, measure_server
from benchmarks.servers import Running, ServerFailed

ECHO, IN_PROCESS = "echo", "in-process"
DEFAULT_OUT = Path("build/benchmarks")

Job = tuple[str, str, Callable[[], Any]]
"""Where its figures go in the round, its name there, and what measures them."""


def main() -> int:
    """Run all, write results.json, results.md and results.svg. 1 where something could not be measured."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that servers are stopped
    # For all that is measured alike: convserve does so by itself, its peers do not.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    args.out.mkdir(parents=True, exist_ok=True)
    repository = args.repository or _export(args.out / "artifacts")
    model = (repository / MODEL / "1" / "model.onnx").resolve()
    servers, skipped = contenders(tuple(args.only), repository, model, args.out.resolve(), args.server_option)
    externals = dict(args.external)
    times = QUICK if args.quick else Times()
    log = args.out / "server.log"
    jobs: list[Job] = [("servers", s.name, partial(measure_server, s, times, log)) for s in servers]
    jobs += [("servers", n, partial(measure_running, r, times)) for n, r in externals.items()]
    if ECHO in args.only:
        jobs += [("echo", k, partial(measure_echo, k, times, log)) for k in ECHOES]
    document: dict[str, Any] = {
        "machine": machine.describe(),
        "generator": generator(),
        "times": asdict(times),
        "servers": [s.name for s in servers] + list(externals),
        "notes": {s.name: s.note for s in servers},
        "skipped": skipped,
        "rounds": [],
    }
    rounds = args.rounds or (1 if args.quick else 5)
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        in_process = partial(measure_in_process, model, times) if IN_PROCESS in args.only else None
        document["rounds"].append(_round(jobs, number, in_process))
        _write(args.out, document)
    print((args.out / "results.md").read_text())
    return 1 if skipped or any(r["failures"] for r in document["rounds"]) else 0


def _round(jobs: list[Job], number: int, in_process: Callable[[], Any] | None) -> dict[str, Any]:
    """Every job once; each round begins with another, so that none always follows the same neighbour."""
    measured: dict[str, Any] = {"servers": {}, "echo": {}, "failures": {}}
    if in_process is not None:
        print("  in process", file=sys.stderr, flush=True)
        measured["in_process"] = in_process()
    shift = number % max(1, len(jobs))
    for where, name, measure in jobs[shift:] + jobs[:shift]:
        print(f"  {where}: {name}", file=sys.stderr, flush=True)
        try:
            measured[where][name] = measure()
        except (ServerFailed, ConvserveError, OSError) as error:
            measured["failures"][name] = str(error)
            print(f"  {name} failed: {error}", file=sys.stderr, flush=True)
    return measured


def _write(out: Path, document: dict[str, Any]) -> None:
    """After every round, so that a run that is cut short leaves what it has."""
    verdicts = [bar.verdict(document["rounds"]) for bar in BARS]
    whole = {**document, "verdicts": [asdict(v) for v in verdicts]}
    (out / "results.json").write_text(json.dumps(whole, indent=2) + "\n")
    (out / "results.md").write_text(markdown(document, verdicts))
    (out / "results.svg").write_text(svg(document))


def _export(folder: Path) -> Path:
    """Artifacts to measure with; the weights do not matter for speed."""
    if not (folder / MODEL / "1" / "model.onnx").exists():
        labels = folder.with_name("labels.txt")
        labels.write_text("".join(f"class {number}\n" for number in range(10)))
        command = [sys.executable, "-m", "convserve_export", "--out", str(folder), "--checkpoint", "random"]
        command += ["--labels", str(labels)]
        print("exporting the model ...", file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--quick", action="store_true", help="one round with little load, to try it; figures are rough")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5")
    everything = [*NAMES, ECHO, IN_PROCESS]
    parser.add_argument("--only", nargs="+", choices=everything, default=everything, help="what to measure")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for results and environments of peers")
    parser.add_argument("--repository", type=Path, help="artifacts with simple_cnn (default: exported to the folder)")
    parser.add_argument(
        "--external",
        type=_external,
        action="append",
        default=[],
        metavar="NAME=HOST:PORT[,PID]",
        help="a server that runs already and serves simple_cnn, such as triton=127.0.0.1:8001",
    )
    parser.add_argument(
        "--server-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="for convserve, such as --server-option=--instances=1",
    )
    return parser.parse_args()


def _external(text: str) -> tuple[str, Running]:
    name, _, where = text.partition("=")
    address, _, pid = where.partition(",")
    if not name or ":" not in address or not (pid.isdigit() or not pid):
        raise argparse.ArgumentTypeError(f"'{text}' does not have the form NAME=HOST:PORT or NAME=HOST:PORT,PID")
    return name, Running(address, int(pid or 0), 0.0)


if __name__ == "__main__":
    sys.exit(main())
