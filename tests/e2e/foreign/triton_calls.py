"""Run by test_tritonclient.py in a process of its own: calls a server as a user of Triton's client does."""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException


def main(address: str, inputs: str, outputs: str) -> None:
    client = triton.InferenceServerClient(address)
    images = np.load(inputs)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("simple_cnn")
    tensor = triton.InferInput("input", images.shape, "FP32")
    tensor.set_data_from_numpy(images)
    wanted = triton.InferRequestedOutput("logits")
    result = client.infer("simple_cnn", [tensor], outputs=[wanted], request_id="42", client_timeout=30)
    assert result.get_response().id == "42"
    np.save(outputs, result.as_numpy("logits"))
    try:
        client.infer("simple_cnn", [triton.InferInput("wrong", [1], "FP32")])
    except InferenceServerException as error:
        refusal = [error.status(), error.message()]
    else:
        raise AssertionError("a wrong input name was taken")
    print(
        json.dumps(
            {
                "server": client.get_server_metadata(as_json=True),
                "model": client.get_model_metadata("simple_cnn", as_json=True),
                "refusal": refusal,
                "asyncio": asyncio.run(asynchronously(address, tensor)),
            }
        )
    )


async def asynchronously(address: str, tensor: triton.InferInput) -> list[list[float]]:
    async with triton_aio.InferenceServerClient(address) as client:
        result = await client.infer("simple_cnn", [tensor])
        logits: list[list[float]] = result.as_numpy("logits").tolist()
        return logits


if __name__ == "__main__":
    main(*sys.argv[1:])
