"""Run by test_triton_extensions.py in a process of its own: everything beyond plain inference, with Triton's client."""

from __future__ import annotations

import asyncio
import json
import queue
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

ADDENDS = np.array([[1, 2], [3, 4]], np.float32)


def inputs(first: Any = ADDENDS) -> list[Any]:
    tensors = []
    for name, array in (("a", first), ("b", ADDENDS)):
        tensor = triton.InferInput(name, list(array.shape), "FP32")
        tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    return tensors


def refusal(call: Callable[[], object]) -> str:
    """The status of a call that must fail."""
    try:
        call()
    except InferenceServerException as error:
        return f"{error.status()}: {error.message()}"
    raise AssertionError("was not refused")


def control(client: Any) -> dict[str, Any]:
    """Load, unload and list models."""
    seen: dict[str, Any] = {"before": index(client)}
    client.load_model("sum")
    seen["loaded"] = [index(client), client.is_model_ready("sum")]
    client.load_model("sum", config=json.dumps({"max_batch_size": 5}))
    config = client.get_model_config("sum").config
    seen["config"] = [config.max_batch_size, config.platform, [list(i.dims) for i in config.input]]
    content = Path(sys.argv[2]).read_bytes()
    client.load_model("uploaded", config="{}", files={"file:1/model.onnx": content})
    seen["uploaded"] = client.infer("uploaded", inputs()).as_numpy("total").tolist()
    client.unload_model("uploaded", unload_dependents=True)
    seen["unloaded"] = client.is_model_ready("uploaded")
    seen["unknown"] = refusal(lambda: client.load_model("nope"))
    return seen


def index(client: Any) -> list[list[str]]:
    return [[m.name, m.version, m.state] for m in client.get_model_repository_index().models]


def stream(client: Any) -> dict[str, Any]:
    """Many requests on one stream, and errors on it."""
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for n in range(50):
        client.async_stream_infer("sum", inputs(ADDENDS + n), request_id=str(n))
    client.async_stream_infer("nope", inputs(), request_id="bad")
    client.async_stream_infer("sum", inputs(), request_id="last", enable_empty_final_response=True)
    ids, right, error = [], True, ""
    for _ in range(52):
        result, failure = answers.get(timeout=20)
        if failure is not None:
            error = failure.message()
            continue
        response = result.get_response()
        ids.append(response.id)
        n = 0 if response.id == "last" else int(response.id)
        right = right and bool((result.as_numpy("total") == 2 * ADDENDS + n).all())
    client.stop_stream()
    return {"ids": ids, "right": right, "error": error}


async def asynchronous_stream(address: str) -> list[str]:
    async def messages() -> AsyncIterator[dict[str, Any]]:
        for n in range(5):
            tensors = []
            for name in ("a", "b"):
                tensor = triton_aio.InferInput(name, [2, 2], "FP32")
                tensor.set_data_from_numpy(ADDENDS)
                tensors.append(tensor)
            yield {"model_name": "sum", "inputs": tensors, "request_id": str(n)}

    ids = []
    async with triton_aio.InferenceServerClient(address) as client:
        async for result, error in client.stream_infer(messages()):
            assert error is None, error
            ids.append(result.get_response().id)
    return ids


def shared_memory(client: Any) -> dict[str, Any]:
    """Inputs and an output in system shared memory; CUDA's is refused."""
    size = ADDENDS.nbytes
    region = shm.create_shared_memory_region("both", "/convserve_test", 3 * size)
    try:
        shm.set_shared_memory_region(region, [ADDENDS, ADDENDS])
        client.register_system_shared_memory("both", "/convserve_test", 3 * size)
        status = client.get_system_shared_memory_status(as_json=True)["regions"]["both"]
        tensors = [triton.InferInput(name, [2, 2], "FP32") for name in ("a", "b")]
        for n, tensor in enumerate(tensors):
            tensor.set_shared_memory("both", size, offset=n * size)
        output = triton.InferRequestedOutput("total")
        output.set_shared_memory("both", size, offset=2 * size)
        client.infer("sum", tensors, outputs=[output, triton.InferRequestedOutput("difference")])
        total = shm.get_contents_as_numpy(region, np.float32, [2, 2], offset=2 * size).tolist()
        again = refusal(lambda: client.register_system_shared_memory("both", "/convserve_test", 1))
        client.unregister_system_shared_memory("both")
        left = list(client.get_system_shared_memory_status(as_json=True).get("regions", {}))
    finally:
        shm.destroy_shared_memory_region(region)
    client.unregister_cuda_shared_memory()
    cuda = refusal(lambda: client.register_cuda_shared_memory("x", b"aGFuZGxl", 0, 1))
    return {"status": status, "total": total, "again": again, "left": left, "cuda": cuda}


def settings(client: Any) -> dict[str, Any]:
    """Trace and log settings."""
    trace = client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "1"}, as_json=True)
    client.infer("sum", inputs(), request_id="traced")
    client.update_trace_settings(settings={"trace_level": ["OFF"]})
    log = client.update_log_settings({"log_info": False}, as_json=True)
    client.update_log_settings({"log_info": True})
    return {
        "trace": trace["settings"]["trace_level"]["value"],
        "model": client.get_trace_settings("sum", as_json=True)["settings"]["trace_rate"]["value"],
        "log": log["settings"]["log_info"],
    }


def main(address: str) -> None:
    client = triton.InferenceServerClient(address)
    seen: dict[str, Any] = {"control": control(client)}
    classes = client.infer("sum", inputs(), outputs=[triton.InferRequestedOutput("total", class_count=1)])
    seen["classes"] = classes.as_numpy("total").tolist()[0][0].decode()
    urgent = client.infer("sum", inputs(), priority=1, timeout=5_000_000)
    seen["urgent"] = urgent.as_numpy("total").tolist()
    seen["sequence"] = refusal(lambda: client.infer("sum", inputs(), sequence_id=7, sequence_start=True))
    seen["stream"] = stream(client)
    seen["asyncio"] = asyncio.run(asynchronous_stream(address))
    seen["memory"] = shared_memory(client)
    seen["settings"] = settings(client)
    statistics = client.get_inference_statistics("sum").model_stats[0]
    seen["statistics"] = [statistics.inference_count, statistics.inference_stats.success.count]
    seen["extensions"] = list(client.get_server_metadata().extensions)
    print(json.dumps(seen, default=lambda o: o.decode()))


if __name__ == "__main__":
    main(sys.argv[1])
