"""A model that is reloaded again and again under load loses no call and leaks no memory."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from support.artifacts import write_sum
from support.open_inference import ask
from support.requests import infer_request, outputs_of
from support.servers import ServerProcess

RELOADS = 200
WARM = 60
"""Reloads before the memory is looked at: by then, what grows to its working size has."""


def resident_megabytes(process: int) -> float:
    (line,) = [s for s in Path(f"/proc/{process}/status").read_text().splitlines() if s.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


class Caller(threading.Thread):
    """Calls the model until it is told to stop; each answer must be its own."""

    def __init__(self, address: str, seed: int, stop: threading.Event) -> None:
        super().__init__()
        self._address, self._seed, self._stop_event = address, seed, stop
        self.calls = 0
        self.failures: list[str] = []
        self.versions: list[int] = []

    def run(self) -> None:
        with grpc.insecure_channel(self._address) as channel:
            while not self._stop_event.is_set():
                value = float(self._seed * 1_000_000 + self.calls)
                array = np.full((1 + self.calls % 3, 2), value, np.float32)
                try:
                    response: Any = ask(channel, "ModelInfer", infer_request("sum", {"a": array, "b": array}))
                except grpc.RpcError as error:
                    self.failures.append(f"{error.code()}: {error.details()}")
                    continue
                self.calls += 1
                self.versions.append(int(response.model_version))
                if not (outputs_of(response)["total"] == 2 * array).all():
                    self.failures.append(f"the answer to {value} is another's")


@pytest.mark.parametrize("transport", ["standard", "fast"])
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_200_reloads_under_load_lose_no_call_and_leak_no_memory(tmp_path: Path, transport: str) -> None:
    models = tmp_path / "models"
    write_sum(models, version=1)
    arguments = ["--repository-mode", "explicit", "--load-model", "*", "--provider", "cpu", "--transport", transport]
    stop = threading.Event()
    with (
        ServerProcess(models, tmp_path, *arguments) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        callers = [Caller(server.address, seed, stop) for seed in range(4)]
        for caller in callers:
            caller.start()
        memory = 0.0
        for version in range(2, RELOADS + 2):
            folder = write_sum(models, version=version)
            request = oip.RepositoryModelLoadRequest(model_name="sum")
            if version % 10 == 0:
                # A bad version leaves the one before serving, and is replaced by the next one.
                (folder / "model.onnx").write_bytes(b"spoilt")
                with pytest.raises(grpc.RpcError):
                    ask(channel, "RepositoryModelLoad", request)
            else:
                ask(channel, "RepositoryModelLoad", request)
            if version > 2:
                shutil.rmtree(models / "sum" / str(version - 2))
            if version == WARM:
                memory = resident_megabytes(server.process.pid)
        grown = resident_megabytes(server.process.pid) - memory
        stop.set()
        for caller in callers:
            caller.join(20)
        index = ask(channel, "RepositoryIndex").models
        assert server.stop() == 0
    assert [f for c in callers for f in c.failures] == []
    calls = sum(c.calls for c in callers)
    assert calls > RELOADS, "hardly any load"
    for caller in callers:
        assert caller.versions == sorted(caller.versions), "an older version answered after a newer one"
        assert len(set(caller.versions)) > RELOADS / 10
    assert [(m.version, m.state) for m in index][-1] == (str(RELOADS + 1), "READY")
    assert len(index) <= 3, "versions that are gone are forgotten"
    # About 0.3 MB each, were old sessions kept.
    assert grown < 15, f"{grown:.1f} MB more after {RELOADS - WARM} reloads and {calls} calls"
    print(f"{transport}: {RELOADS} reloads, {calls} calls, {grown:+.1f} MB")
