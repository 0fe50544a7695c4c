"""Load on one method: by h2load where there is one, else by convserve's own generator; always a fixed count of calls.

h2load posts a prepared body over HTTP/2 and costs a tenth of what a Python client costs, which matters where it shares
the cores with the server. It knows nothing of gRPC's statuses, so the bytes that it received are held against the size
of a right reply.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from convserve_client.bench.plan import Plan, usual_processes
from convserve_client.bench.run import run

from benchmarks.servers import Question, ServerFailed

_LIMIT_SECONDS = 120.0
_TIMEOUT = 20.0
_DATA_BYTES = re.compile(r"\((\d+)\) data$", re.MULTILINE)


@dataclass(frozen=True)
class Load:
    """What a closed loop has measured; latencies in milliseconds."""

    requests: int
    throughput: float
    p50: float
    p95: float
    p99: float


def generator() -> str:
    """What closed loops are made with here."""
    return "h2load" if shutil.which("h2load") else "convserve bench"


def closed_loop(
    address: str, question: Question, *, connections: int, streams: int, requests: int, reply_bytes: int
) -> Load:
    """So many requests with ``streams`` always in flight on each connection.

    Raises ServerFailed where not every reply came, with the size of a right one.
    """
    if shutil.which("h2load"):
        return _h2load(address, question, connections, streams, requests, reply_bytes)
    plan = Plan(
        link={"target": address, "timeout": _TIMEOUT},
        method=question.method,
        body=question.body,
        reply_bytes=reply_bytes,
        concurrency=connections * streams,
        connections=connections,
        processes=usual_processes(connections),
        seconds=_LIMIT_SECONDS,
        requests=requests,
        warm_up=0.0,
    )
    result = run(plan)
    if result.errors:
        raise ServerFailed(f"{result.errors.total()} of {result.requests} calls failed: {dict(result.errors)}")
    p50, p95, p99 = (value * 1e3 for value in result.latency.percentiles([0.5, 0.95, 0.99]))
    return Load(requests, result.throughput, p50, p95, p99)


def _h2load(address: str, question: Question, connections: int, streams: int, requests: int, reply_bytes: int) -> Load:
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(struct.pack(">BI", 0, len(question.body)) + question.body)
        command = [
            "h2load",
            "-t1",
            f"-c{connections}",
            f"-m{streams}",
            f"-n{requests}",
            f"-d{body}",
            f"--log-file={log}",
        ]
        command += ["-Hcontent-type: application/grpc", "-Hte: trailers", f"http://{address}{question.method}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{requests} requests were not answered in {_LIMIT_SECONDS:.0f} s") from None
        _check_traffic(done.stdout, requests, reply_bytes)
        # Microseconds: when it was sent, HTTP status, how long it took.
        sent, _, took = np.loadtxt(log, dtype=np.int64, ndmin=2, unpack=True)
    seconds = (sent + took).max() - sent.min()
    p50, p95, p99 = np.percentile(took, [50, 95, 99], method="inverted_cdf") / 1e3
    return Load(requests, float(requests / seconds * 1e6), float(p50), float(p95), float(p99))


def _check_traffic(output: str, requests: int, reply_bytes: int) -> None:
    """Every reply is its 5 bytes of framing and a message as long as the one that was verified."""
    match = _DATA_BYTES.search(output)
    if match is None:
        raise ServerFailed(f"h2load says: {output.strip()[-500:]}")
    right = int(match[1]) / (reply_bytes + 5)
    if round(right) != requests or right % 1:
        raise ServerFailed(f"{requests} requests were answered with the bytes of {right:.2f} right replies")


def fixed_rate(address: str, question: Question, *, rate: float, seconds: float, warm_up: float) -> dict[str, float]:
    """Latencies in milliseconds, counted from when each request was due, and failures and lateness of the generator.

    h2load sends at a rate in bursts every 10 ms, so this is always our own generator.
    """
    plan = Plan(
        link={"target": address, "timeout": _TIMEOUT},
        method=question.method,
        body=question.body,
        rate=rate,
        processes=1,
        seconds=seconds,
        warm_up=warm_up,
    )
    result = run(plan)
    p50, p95, p99 = (value * 1e3 for value in result.latency.percentiles([0.5, 0.95, 0.99]))
    lag = result.lag.percentile(0.99) * 1e3
    return {"rate": rate, "p50": p50, "p95": p95, "p99": p99, "errors": result.errors.total(), "lag_p99": lag}
