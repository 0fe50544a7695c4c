"""The whole way that rows go on CUDA, here on the CPU provider: threads, padding and fixed buffers under load."""

from __future__ import annotations

import math
import threading
from functools import partial

import numpy as np
import pytest
from convserve_server.engine import instances
from convserve_server.engine.batcher import Batcher, Limits
from convserve_server.engine.cuda import CudaSettings
from convserve_server.engine.model import Answer, Array, Description, TensorSpec
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.owner import OwnedInstance
from convserve_server.engine.session import CPU, EngineSettings, Session
from convserve_server.errors import ServerError
from onnx import helper
from support.artifacts import FLOAT, onnx_model

SHAPE = (-1, 3)
DESCRIPTION = Description("twice", 1, "", (TensorSpec("x", "FP32", SHAPE),), (TensorSpec("y", "FP32", SHAPE),), True)
LIMITS = Limits(max_batch_size=8, max_queue_size=10_000)


class Waiter:
    deadline = math.inf

    def abandoned(self) -> bool:
        return False

    def await_room(self) -> bool:
        return False


def session(graphs: bool) -> Session:
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    model = onnx_model(nodes, {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])})
    return Session(model, DESCRIPTION, CPU, 1, {"enable_cuda_graph": str(int(graphs))})


@pytest.mark.parametrize("graphs", [False, True])
def test_everyone_gets_his_own_rows_back(monkeypatch: pytest.MonkeyPatch, graphs: bool) -> None:
    monkeypatch.setattr(instances, "CUDA", CPU)
    monkeypatch.setattr(instances, "prepared", partial(instances.prepared, device="cpu"))
    engine = EngineSettings(cuda=CudaSettings(instances=2, graphs=graphs))
    settings = ModelSettings(engine=engine, limits=LIMITS)
    slots = instances.make_instances(session(False), session, DESCRIPTION, settings, lambda s: None)
    assert [type(slot) for slot in slots] == [OwnedInstance] * 2
    batcher = Batcher(slots, LIMITS)
    wrong: list[str] = []
    answered = threading.Semaphore(0)

    def check(sent: Array, result: Answer | ServerError) -> None:
        if isinstance(result, ServerError) or result.outputs[0].tolist() != (2 * sent).tolist():
            wrong.append(f"{sent.tolist()}: {result}")
        answered.release()

    def caller(number: int) -> None:
        for n in range(50):
            # Up to 11 rows: some requests are larger than a batch.
            sent = np.full((1 + (number + n) % 11, 3), 1000 * number + n, np.float32)
            batcher.submit((sent,), Waiter(), partial(check, sent))
            batcher.lead()

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.lead()
    for _ in range(300):
        assert answered.acquire(timeout=20)
    assert wrong == []
