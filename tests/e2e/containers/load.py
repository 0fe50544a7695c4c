"""Calls a server all the time, without ever trying a call again, until standard input ends; then says how it went.

    python load.py 127.0.0.1:8080 < pipe

Prints "calling" after the first good answer, and in the end one JSON object: how many calls were answered, the longest
in seconds, the model versions that answered, and each failure.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np
from convserve_client import Client, ConvserveError, RetryPolicy

CALLERS = 6
PAUSE = 0.01


class Tally:
    """What all callers have seen."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answered = 0
        self.longest = 0.0
        self.versions: set[str] = set()
        self.failures: list[str] = []

    def add(self, seconds: float, version: str | None, failure: str | None) -> None:
        with self.lock:
            self.longest = max(self.longest, seconds)
            if failure is not None:
                self.failures.append(failure)
            elif version is not None:
                self.answered += 1
                self.versions.add(version)


def call_until(stop: threading.Event, client: Client, tally: Tally) -> None:
    picture = {"input": np.zeros((1, 3, 32, 32), np.float32)}
    while not stop.wait(PAUSE):
        version = failure = None
        started = time.monotonic()
        try:
            version = client.infer("simple_cnn", picture).model_version
        except ConvserveError as error:
            failure = f"{type(error).__name__}: {error}"
        tally.add(time.monotonic() - started, version, failure)


def main(address: str) -> None:
    stop, tally = threading.Event(), Tally()
    with Client(address, timeout=20, retry=RetryPolicy(attempts=1)) as client:
        callers = [threading.Thread(target=call_until, args=(stop, client, tally)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        while not (tally.answered or tally.failures):
            time.sleep(0.01)
        print("calling", flush=True)
        sys.stdin.read()
        stop.set()
        for caller in callers:
            caller.join()
    print(
        json.dumps(
            {
                "answered": tally.answered,
                "longest": tally.longest,
                "versions": sorted(tally.versions),
                "failures": tally.failures,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
