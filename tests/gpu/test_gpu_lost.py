"""A GPU that goes away while it is served on: calls fail with a status, and the server says that it is not ready.

The loss is a write beyond all memory, by a kernel in the server's own context: after it, whatever is asked of the
device fails until the process ends, as after a device that has fallen off the bus.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import grpc
import numpy as np
from convserve_proto import open_inference as oip
from support.artifacts import write_sum
from support.open_inference import ask
from support.requests import infer_request, outputs_of
from support.servers import ServerProcess

from .requirement import needs_cuda

pytestmark = needs_cuda

SITE = '''
import ctypes, os, threading, time

PTX = b"""
.version 7.0
.target sm_70
.address_size 64
.visible .entry lose() { .reg .b32 %r1; .reg .b64 %rd1;
mov.u64 %rd1, 8; mov.u32 %r1, 1; st.global.u32 [%rd1], %r1; ret; }
"""

def lose():
    while not os.path.exists(os.environ["LOSE_GPU"]):
        time.sleep(0.05)
    cuda = ctypes.CDLL("libcuda.so.1")
    context, module, function = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    cuda.cuInit(0)
    cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
    cuda.cuCtxSetCurrent(context)
    cuda.cuModuleLoadData(ctypes.byref(module), PTX)
    cuda.cuModuleGetFunction(ctypes.byref(function), module, b"lose")
    cuda.cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, None, None, None)
    open(os.environ["LOSE_GPU"] + ".error", "w").write(str(cuda.cuCtxSynchronize()))

if "LOSE_GPU" in os.environ:
    threading.Thread(target=lose, daemon=True).start()
'''


def test_calls_fail_with_a_status_and_the_server_is_not_ready(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    lose = tmp_path / "lose"
    write_sum(tmp_path / "models")
    environment = {"LOSE_GPU": str(lose), "PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}"}
    request = infer_request("sum", {name: np.ones((1, 2), np.float32) for name in "ab"})
    with (
        ServerProcess(tmp_path / "models", tmp_path, "--provider", "cuda", **environment) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        assert (outputs_of(ask(channel, "ModelInfer", request))["total"] == 2).all()
        lose.touch()
        limit = time.monotonic() + 60
        while not (error := tmp_path / "lose.error").exists():
            assert time.monotonic() < limit
            time.sleep(0.05)
        assert int(error.read_text()), "the device is still there"
        codes = set()
        while ask(channel, "ServerReady", oip.ServerReadyRequest()).ready:
            assert time.monotonic() < limit, server.log.read_text()[-2000:]
            try:
                ask(channel, "ModelInfer", request)
                codes.add("OK")
            except grpc.RpcError as failure:
                codes.add(failure.code().name)
        assert codes == {"INTERNAL"}
        assert not ask(channel, "ModelReady", oip.ModelReadyRequest(name="sum")).ready
        assert ask(channel, "ServerLive", oip.ServerLiveRequest()).live
        assert server.process.poll() is None
        assert "is not ready: its runs fail" in server.log.read_text()
