"""Run by test_kserve.py with a Python that has kserve: calls a server through KServe's inference client."""

from __future__ import annotations

import asyncio
import json
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest  # type: ignore[import-not-found]
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb  # type: ignore[import-not-found]
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub  # type: ignore[import-not-found]


async def through_the_client(address: str) -> dict[str, object]:
    client = InferenceGRPCClient(url=address, retries=0)
    seen: dict[str, object] = {
        "live": await client.is_server_live(),
        "ready": await client.is_server_ready(),
        "model": await client.is_model_ready("sum"),
    }
    for form, raw in (("typed", False), ("raw", True)):
        inputs = []
        for name in ("a", "b"):
            tensor = InferInput(name=name, shape=[1, 2], datatype="FP32")
            tensor.set_data_from_numpy(np.array([[1.5, 2.5]], np.float32), binary_data=raw)
            inputs.append(tensor)
        response = await client.infer(InferRequest(model_name="sum", infer_inputs=inputs, request_id=form))
        seen[form] = [response.id, response.outputs[0].as_numpy().tolist()]
    try:
        await client.infer(InferRequest(model_name="nope", infer_inputs=[]))
    except grpc.RpcError as error:
        seen["refusal"] = error.code().name
    await client.close()
    return seen


def through_the_stubs(address: str) -> dict[str, object]:
    with grpc.insecure_channel(address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="sum"))
        server = stub.ServerMetadata(pb.ServerMetadataRequest())
    return {
        "server": server.name,
        "metadata": [metadata.name, metadata.platform, [[i.name, i.datatype, list(i.shape)] for i in metadata.inputs]],
    }


def main(address: str) -> None:
    print(json.dumps({**asyncio.run(through_the_client(address)), **through_the_stubs(address)}))


if __name__ == "__main__":
    main(sys.argv[1])
