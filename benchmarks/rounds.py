"""One round: every contender in turn through every workload, so that what changes on the machine meets all of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from convserve_client.bench.request import METHOD, serialized
from convserve_proto import open_inference as oip

from benchmarks import figures
from benchmarks.contenders import MODEL, echo
from benchmarks.echo_server import PATH as ECHO_PATH
from benchmarks.echo_server import REPLY
from benchmarks.load import closed_loop, fixed_rate
from benchmarks.servers import Question, Running, Server, ask, running

Figures = dict[str, Any]
"""Measured values of one server or of ONNX Runtime alone, by name."""

RATE_SHARE = 0.7
"""Of the highest throughput, for the workload at a fixed rate."""
_CLASSES = 10
_TRIAL_SHARE = 0.15
"""Of a workload's time, to warm up and to find out how many requests fill the rest."""


@dataclass(frozen=True)
class Workload:
    """A closed loop."""

    name: str
    rows: int
    connections: int
    streams: int


ONE = Workload("one", 1, 4, 8)
LONE = Workload("lone", 1, 1, 1)
MANY = Workload("many", 32, 4, 2)
WORKLOADS = (ONE, LONE, MANY)


@dataclass(frozen=True)
class Times:
    """Seconds for each part."""

    load: float = 4.0
    rate: float = 10.0
    idle: float = 10.0
    in_process: float = 3.0


QUICK = Times(load=0.4, rate=0.5, idle=0.5, in_process=0.3)


def infer_question(rows: int) -> Question:
    """SimpleCNN on so many images."""
    images = np.random.default_rng(0).standard_normal((rows, 3, 32, 32)).astype(np.float32)

    def right(reply: bytes) -> bool:
        response = oip.ModelInferResponse.FromString(reply)
        return (
            [(o.name, o.datatype, list(o.shape)) for o in response.outputs] == [("logits", "FP32", [rows, _CLASSES])]
            and len(response.raw_output_contents) == 1
            and bool(np.isfinite(np.frombuffer(response.raw_output_contents[0], np.float32)).all())
        )

    return Question(METHOD, serialized(MODEL, {"input": images}), right)


def pixel_question(rows: int) -> Question:
    """The same, with pixels instead of values: a quarter of the bytes."""
    usual = infer_question(rows)
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 32, 32, 3), np.uint8)
    return Question(METHOD, serialized(MODEL, {"pixels": pixels}), usual.right)


ECHO_QUESTION = Question(ECHO_PATH, b"q" * 64, lambda reply: reply == REPLY)


def measure_echo(kind: str, times: Times, log: Path) -> Figures:
    """The call without inference, by one transport."""
    with running(echo(kind), ECHO_QUESTION, log) as server:
        return {"one": _closed(server, ECHO_QUESTION, ONE, times)}


def measure_server(server: Server, times: Times, log: Path) -> Figures:
    """Every workload on one server, from its start to its stop."""
    with running(server, infer_question(1), log) as process:
        return {"ready_seconds": process.ready_seconds, **measure_running(process, times)}


def measure_running(process: Running, times: Times) -> Figures:
    """Every workload on a server that runs."""
    found: Figures = {w.name: _closed(process, infer_question(w.rows), w, times) for w in WORKLOADS}
    rate = RATE_SHARE * found["one"]["throughput"]
    warm_up = times.rate * _TRIAL_SHARE
    found["rate"] = fixed_rate(process.address, infer_question(1), rate=rate, seconds=times.rate, warm_up=warm_up)
    if process.pid:
        found["idle_cpu"] = _idle_cpu(process, times.idle)
        found["memory_mb"] = figures.resident_bytes(process.pids()) / 1e6
    return found


def _closed(process: Running, question: Question, workload: Workload, times: Times) -> Figures:
    reply_bytes = len(ask(process.address, question))
    how = {"connections": workload.connections, "streams": workload.streams, "reply_bytes": reply_bytes}
    trial = closed_loop(process.address, question, requests=10 * workload.connections * workload.streams, **how)
    warm = max(trial.requests, round(trial.throughput * times.load * _TRIAL_SHARE))
    speed = closed_loop(process.address, question, requests=warm, **how).throughput
    requests = max(warm, round(speed * times.load))
    pids = process.pids() if process.pid else []
    before = figures.cpu_seconds(pids)
    load = closed_loop(process.address, question, requests=requests, **how)
    used = figures.cpu_seconds(pids) - before
    return {**asdict(load), **({"cpu_us": used / requests * 1e6} if pids else {})}


def _idle_cpu(process: Running, seconds: float) -> float:
    """Share of a core that the server uses when nobody calls it."""
    time.sleep(min(1.0, seconds))  # what the load left to do
    pids = process.pids()
    before = figures.cpu_seconds(pids)
    time.sleep(seconds)
    return (figures.cpu_seconds(pids) - before) / seconds


def measure_in_process(model: Path, times: Times) -> Figures:
    """ONNX Runtime alone: the throughput of two callers with batches of 8 and 32, and one image on one thread."""
    return {
        name: _in_process(model, callers, rows, times.in_process)
        for name, callers, rows in (("batch_8", 2, 8), ("batch_32", 2, 32), ("lone", 1, 1))
    }


def _in_process(model: Path, callers: int, rows: int, seconds: float) -> Figures:
    command = [sys.executable, "-m", "benchmarks.in_process", str(model), str(callers), str(rows), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60 + seconds)
    figures_found: Figures = json.loads(done.stdout)
    return figures_found
