"""The limit: ONNX Runtime called in a process of its own, with no server and no load generator.

python -m benchmarks.in_process MODEL.onnx CALLERS ROWS SECONDS    (prints one JSON object)
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import onnxruntime

_WARM_UP = 0.2


def measure(model: str, callers: int, rows: int, seconds: float) -> dict[str, float]:
    """Images a second, CPU an image and the median time of a run, with one ONNX Runtime thread for each caller."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    images = np.random.default_rng(0).standard_normal((rows, 3, 32, 32)).astype(np.float32)

    def call_until(end: float, times: list[float]) -> None:
        while (before := time.perf_counter()) < end:
            session.run(None, {name: images})
            times.append(time.perf_counter() - before)

    _in_threads(callers, call_until, _WARM_UP)
    cpu, wall = time.process_time(), time.perf_counter()
    times = _in_threads(callers, call_until, seconds)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    done = len(times) * rows
    return {
        "images_per_second": done / wall,
        "cpu_us_per_image": cpu / done * 1e6,
        "p50_ms": float(np.median(times)) * 1e3,
    }


def _in_threads(callers: int, call_until: Callable[[float, list[float]], None], seconds: float) -> list[float]:
    end = time.perf_counter() + seconds
    times: list[list[float]] = [[] for _ in range(callers)]
    threads = [threading.Thread(target=call_until, args=(end, own)) for own in times]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [t for own in times for t in own]


if __name__ == "__main__":
    model, callers, rows, seconds = sys.argv[1:]
    print(json.dumps(measure(model, int(callers), int(rows), float(seconds))))
