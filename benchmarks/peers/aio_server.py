"""The conventional way: a grpc.aio servicer, protobuf messages, and a batcher of asyncio tasks over ONNX Runtime.

python -m benchmarks.peers.aio_server MODEL.onnx HOST:PORT
"""

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import onnxruntime
from convserve_proto import open_inference as oip
from numpy.typing import NDArray

NAME = "simple_cnn"
RUNS = 2
"""Batches that may run at the same time, one ONNX Runtime thread each."""
MAX_ROWS = 16

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Waiting:
    """One request's rows and the promise of its answer."""

    rows: Array
    answer: asyncio.Future[Array]


class Batcher:
    """Groups what waits whenever a run is free; no timer."""

    def __init__(self, model: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(1024)
        self._threads = ThreadPoolExecutor(RUNS)

    async def infer(self, rows: Array) -> Array:
        """Logits of these rows."""
        waiting = Waiting(rows, asyncio.get_running_loop().create_future())
        await self._queue.put(waiting)
        return await waiting.answer

    async def run(self) -> None:
        """One of the RUNS loops that take batches."""
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._queue.get()]
            rows = len(batch[0].rows)
            while rows < MAX_ROWS and not self._queue.empty():
                batch.append(self._queue.get_nowait())
                rows += len(batch[-1].rows)
            batch = [waiting for waiting in batch if not waiting.answer.cancelled()]
            if not batch:
                continue
            try:
                logits = await loop.run_in_executor(self._threads, self._infer, [w.rows for w in batch])
            except Exception as error:
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                continue
            start = 0
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_result(logits[start : start + len(waiting.rows)])
                start += len(waiting.rows)

    def _infer(self, parts: list[Array]) -> Array:
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        logits: Array = self._session.run(None, {self._input: rows})[0]
        return logits


class Servicer:
    """ModelInfer of the Open Inference Protocol."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    async def infer(self, request: oip.ModelInferRequest, context: Any) -> oip.ModelInferResponse:
        """Decode, wait for the batch, encode."""
        if request.model_name != NAME:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no model '{request.model_name}'")
        tensor, raw = request.inputs[0], request.raw_input_contents[0]
        if tensor.datatype != "FP32" or list(tensor.shape[1:]) != [3, 32, 32]:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the input is FP32 [-1, 3, 32, 32]")
        logits = await self._batcher.infer(np.frombuffer(raw, np.float32).reshape(tensor.shape))
        response = oip.ModelInferResponse(model_name=NAME, model_version="1", id=request.id)
        response.outputs.add(name="logits", datatype="FP32", shape=logits.shape)
        response.raw_output_contents.append(logits.tobytes())
        return response


async def serve(model: str, listen: str) -> None:
    """Serve until SIGTERM."""
    batcher = Batcher(model)
    loops = [asyncio.create_task(batcher.run()) for _ in range(RUNS)]
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 << 20)])
    handler: Any = grpc.unary_unary_rpc_method_handler(
        Servicer(batcher).infer,
        request_deserializer=oip.ModelInferRequest.FromString,
        response_serializer=oip.ModelInferResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(oip.SERVICE, {"ModelInfer": handler})])
    server.add_insecure_port(listen)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(1)
    for loop in loops:
        loop.cancel()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
