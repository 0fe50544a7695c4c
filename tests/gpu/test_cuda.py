"""What only a machine with a GPU can show. Skipped without one, unless REQUIRE_CUDA=1 says that there must be one."""

from __future__ import annotations

import os
from pathlib import Path

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.app import App
from convserve_server.engine.session import choose_provider
from convserve_server.errors import EngineUnavailable
from convserve_server.settings import Settings
from support.servers import call


def cuda_obstacle() -> str:
    try:
        choose_provider("cuda")
    except EngineUnavailable as error:
        return str(error)
    return ""


OBSTACLE = cuda_obstacle()
pytestmark = pytest.mark.skipif(bool(OBSTACLE) and os.environ.get("REQUIRE_CUDA") != "1", reason=OBSTACLE)


def test_cuda_is_what_runs_and_agrees_with_the_cpu(exported: Path) -> None:
    images = np.random.default_rng(0).normal(size=(33, 3, 32, 32)).astype(np.float32)
    request = oip.ModelInferRequest(model_name="simple_cnn")
    request.inputs.add(name="input", datatype="FP32", shape=images.shape)
    request.raw_input_contents.append(images.tobytes())
    logits = {}
    for provider in ("cuda", "cpu", "auto"):
        app = App(Settings(repository=exported, listen="127.0.0.1:0", provider=provider))
        app.start()
        try:
            used = app.repository.find("simple_cnn").provider
            assert used == ("CPUExecutionProvider" if provider == "cpu" else "CUDAExecutionProvider")
            with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
                reply = call(channel, "/inference.GRPCInferenceService/ModelInfer", request, oip.ModelInferResponse)
        finally:
            app.stop(grace=1)
        logits[provider] = np.frombuffer(reply.raw_output_contents[0], np.float32).reshape(-1, 10)
    # TF32 rounds the factors of a product to 10 bits of mantissa.
    assert np.abs(logits["cuda"] - logits["cpu"]).max() < 1e-2 * np.abs(logits["cpu"]).max()
    assert (logits["cuda"].argmax(1) == logits["cpu"].argmax(1)).mean() > 0.95
