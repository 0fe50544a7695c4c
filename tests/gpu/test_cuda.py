"""A server on CUDA answers what one on the CPU answers."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
from convserve_proto import open_inference as oip
from convserve_server.app import App
from convserve_server.settings import Settings
from support.servers import call

from .requirement import needs_cuda

pytestmark = needs_cuda


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
    # The tolerances of the export, as --cuda-tf32 is off.
    np.testing.assert_allclose(logits["cuda"], logits["cpu"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(logits["auto"], logits["cuda"], rtol=1e-5, atol=1e-6)
