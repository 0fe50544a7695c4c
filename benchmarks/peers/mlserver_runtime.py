"""A runtime for MLServer that runs an ONNX model. Run by MLServer in an environment of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import onnxruntime
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]

RUNS = 2


class OnnxModel(MLModel):  # type: ignore[misc]
    """One session with one thread a run, two runs at a time."""

    async def load(self) -> bool:
        """Open the model that the settings name."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        uri = self.settings.parameters.uri
        self._session = onnxruntime.InferenceSession(uri, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._threads = ThreadPoolExecutor(RUNS)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Rows in, logits out."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        loop = asyncio.get_running_loop()
        (logits,) = await loop.run_in_executor(self._threads, self._session.run, None, {self._input: rows})
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output("logits", logits)],
        )
