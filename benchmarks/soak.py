"""Mixed load with cancels, deadlines, hang-ups and killed clients: every call gets its own answer, nothing leaks.

python -m benchmarks.soak --minutes 10 --repository artifacts
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from convserve_proto import vision_pb2

from benchmarks import affine_model
from benchmarks.contenders import convserve
from benchmarks.flatness import Sample, Watch, growth, look
from benchmarks.servers import Question, Running, ServerFailed, ask, running
from benchmarks.soak_calls import CLASSIFY, classify_request, pictures
from benchmarks.soak_client import Findings, work

_PICTURES = 24
_LIFE = 15.0
"""Seconds that a client lives which is killed in the middle of its calls."""
_SETTLE = 3.0
"""Seconds after the last client until the server is looked at for the last time."""
_MODELS = ("simple_cnn", "convolve")


def main() -> int:
    """Run, print a summary, and give 1 where anything was wrong."""
    args = _arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as folder:
        repository, log = Path(folder, "models"), Path(folder, "server.log")
        for name in _MODELS:
            shutil.copytree(args.repository / name, repository / name)
        affine_model.publish(repository)
        try:
            with running(convserve(args.transport, repository, args.server_option), _question(), log) as server:
                findings, samples, before, after = _soak(server, args)
            wrong = findings.sentences + growth(samples, before, after) + _complaints(log)
        except ServerFailed as error:
            print(f"violation: {error}")
            return 1
    _show(findings, [before, *samples, after])
    for sentence in wrong:
        print(f"violation: {sentence}")
    print(
        f"{findings.violations} calls went wrong"
        if findings.violations
        else "every call was answered with its own result"
    )
    if args.json is not None:
        args.json.write_text(json.dumps(_document(findings, samples, before, after, wrong), indent=2) + "\n")
    return 1 if wrong else 0


def _soak(server: Running, args: argparse.Namespace) -> tuple[Findings, list[Sample], Sample, Sample]:
    classes = _classes(server.address)
    started = time.monotonic()
    before = look(server.pid, started)
    seconds = args.minutes * 60
    findings = Findings()
    with Watch(server.pid, every=max(0.1, min(2.0, seconds / 100)), started=started) as watch, ExitStack() as stack:
        end = time.monotonic() + seconds
        pipes = [
            _start(stack, server.address, n, args.threads, seconds, classes)[1] for n in range(1, args.clients + 1)
        ]
        killed = args.clients
        while (left := end - time.monotonic()) > 0:
            killed += 1
            with ExitStack() as victims:
                process, _ = _start(victims, server.address, killed, args.threads, seconds, classes)
                time.sleep(min(left, _LIFE))
                process.kill()
        for pipe in pipes:
            if not pipe.poll(120):
                raise ServerFailed("a client did not finish: it waits for answers that do not come")
            findings.merge(pipe.recv())
    time.sleep(_SETTLE)
    return findings, watch.samples, before, look(server.pid, started)


def _start(
    stack: ExitStack, address: str, number: int, threads: int, seconds: float, classes: dict[bytes, str]
) -> tuple[SpawnProcess, Pipe]:
    """A client process, which does not outlive the stack."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(address, number, threads, seconds, classes, theirs), daemon=True)
    process.start()
    theirs.close()
    stack.callback(ours.close)
    stack.callback(process.join)
    stack.callback(process.kill)
    return process, ours


def _classes(address: str) -> dict[bytes, str]:
    """Pictures with the label that the idle server gives each of them, asked one by one."""
    found = {}
    for pixels in pictures(_PICTURES):
        reply = ask(address, Question(CLASSIFY, classify_request([pixels]), bool))
        found[pixels] = vision_pb2.ClassifyResponse.FromString(reply).results[0].classifications[0].label
    return found


def _question() -> Question:
    image = pictures(1)[0]
    return Question(
        CLASSIFY, classify_request([image]), lambda reply: bool(vision_pb2.ClassifyResponse.FromString(reply).results)
    )


def _complaints(log: Path) -> list[str]:
    """What the server itself found wrong, such as a call that was answered twice or never."""
    return [
        f"the server's log says: {line}"
        for line in log.read_text().splitlines()
        if "ERROR" in line or "Traceback" in line
    ][:20]


def _show(findings: Findings, samples: list[Sample]) -> None:
    print(f"{findings.outcomes.total():,} calls, not counting those of clients that were killed")
    for what, count in sorted(findings.outcomes.items()):
        print(f"  {what:45} {count:>10,}")
    shown = samples[:: max(1, len(samples) // 12)]
    print("seconds  memory MB  threads  descriptors   (before the load, during it, after it)")
    for sample in shown if shown[-1] is samples[-1] else [*shown, samples[-1]]:
        print(f"{sample.seconds:7.0f}  {sample.memory_mb:9.1f}  {sample.threads:7}  {sample.descriptors:11}")


def _document(
    findings: Findings, samples: list[Sample], before: Sample, after: Sample, wrong: list[str]
) -> dict[str, Any]:
    return {
        "outcomes": dict(findings.outcomes),
        "violations": wrong,
        "before": asdict(before),
        "after": asdict(after),
        "samples": [asdict(sample) for sample in samples],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--repository", type=Path, default=Path("artifacts"), help="with simple_cnn and convolve")
    parser.add_argument("--transport", choices=("auto", "fast", "standard"), default="auto")
    parser.add_argument(
        "--clients", type=int, default=2, help="client processes, beside one that is killed again and again"
    )
    parser.add_argument("--threads", type=int, default=6, help="of each client process")
    parser.add_argument("--server-option", action="append", default=[], metavar="OPTION", help="for convserve")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
