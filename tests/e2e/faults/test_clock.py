"""The wall clock jumps, for hours and in both directions: deadlines, health and answers do not care.

The clock of the machine is not ours to change. A library that is loaded before libc moves what the server reads of it,
in Python, in gRPC's core and everywhere else alike, by as many seconds as a file says.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.requests import infer_request
from support.survival import answers_rightly, surviving

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_JUMP"), "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += jump();
    return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec; now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *now) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    if (now) *now = fine.tv_sec;
    return fine.tv_sec;
}
"""
HOUR = 3600


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(SHIM)
    library = folder / "clock.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(folder / "clock.c"), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return library


def test_a_clock_that_jumps_harms_no_call(tmp_path: Path, kind: str, shim: Path) -> None:
    jump = tmp_path / "jump"
    jump.write_text("0")
    environment = {"LD_PRELOAD": str(shim), "CLOCK_JUMP": str(jump)}

    def to(seconds: int) -> None:
        aside = jump.with_name("aside")
        aside.write_text(str(seconds))
        aside.replace(jump)

    with surviving(tmp_path, "--transport", kind, "--max-queue-delay", "0.4", **environment) as server:
        request = infer_request("sum", {name: np.ones((1, 2), np.float32) for name in "ab"}).SerializeToString()
        with grpc.insecure_channel(server.address) as channel:
            infer: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            for seconds in (HOUR, -HOUR, 24 * HOUR, 0):
                # In the middle of a call that has a deadline, and in the middle of one that has none.
                timed, untimed = infer.future(request, timeout=20), infer.future(request)
                time.sleep(0.1)
                to(seconds)
                assert timed.result()
                assert untimed.result()
                answers_rightly(server.address, calls=2)
                # A deadline that does pass is still kept.
                late = infer.future(request, timeout=0.1)
                assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_the_clock_of_the_server_really_jumps(tmp_path: Path, shim: Path) -> None:
    jump = tmp_path / "jump"
    jump.write_text(str(-30 * 24 * HOUR))
    environment = {"LD_PRELOAD": str(shim), "CLOCK_JUMP": str(jump)}
    with surviving(tmp_path, **environment) as server:
        month_ago = time.strftime("%Y-%m", time.localtime(time.time() - 30 * 24 * HOUR))
        assert server.log.read_text().startswith(month_ago)
