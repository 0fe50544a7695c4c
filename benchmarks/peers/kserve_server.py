"""KServe's Python server with an ONNX model. Run in an environment of its own.

python kserve_server.py MODEL.onnx --http_port N --grpc_port N --workers 1
"""

from __future__ import annotations

import argparse
import asyncio
from concurrent.futures import ThreadPoolExecutor

import kserve  # type: ignore[import-not-found]
import onnxruntime

RUNS = 2


class OnnxModel(kserve.Model):  # type: ignore[misc]
    """One session with one thread a run, two runs at a time."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._threads = ThreadPoolExecutor(RUNS)
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):  # type: ignore[no-untyped-def]
        """Rows in, logits out."""
        rows = payload.inputs[0].as_numpy()
        loop = asyncio.get_running_loop()
        (logits,) = await loop.run_in_executor(self._threads, self._session.run, None, {self._input: rows})
        output = kserve.InferOutput(name="logits", shape=list(logits.shape), datatype="FP32")
        output.set_data_from_numpy(logits, binary_data=True)
        return kserve.InferResponse(response_id=payload.id or "", model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.add_argument("model")
    arguments = parser.parse_args()
    kserve.ModelServer().start([OnnxModel("simple_cnn", arguments.model)])
