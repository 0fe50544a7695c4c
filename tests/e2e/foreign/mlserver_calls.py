"""Run by test_mlserver.py with a Python that has mlserver: calls a server through MLServer's own gRPC stubs."""

from __future__ import annotations

import json
import sys

import grpc
from mlserver.grpc import dataplane_pb2 as pb  # type: ignore[import-not-found]
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub  # type: ignore[import-not-found]


def main(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="sum"))
        request = pb.ModelInferRequest(model_name="sum", id="42")
        for name in ("a", "b"):
            tensor = request.inputs.add(name=name, datatype="FP32", shape=[1, 2])
            tensor.contents.fp32_contents.extend([1.5, 2.5])
        response = stub.ModelInfer(request, timeout=20)
        try:
            stub.ModelReady(pb.ModelReadyRequest(name="nope"))
        except grpc.RpcError as error:
            refusal = error.code().name
        index = stub.RepositoryIndex(pb.RepositoryIndexRequest())
        seen = {
            "live": stub.ServerLive(pb.ServerLiveRequest()).live,
            "ready": stub.ServerReady(pb.ServerReadyRequest()).ready,
            "model": stub.ModelReady(pb.ModelReadyRequest(name="sum")).ready,
            "server": stub.ServerMetadata(pb.ServerMetadataRequest()).name,
            "metadata": [
                metadata.name,
                metadata.platform,
                [[i.name, i.datatype, list(i.shape)] for i in metadata.inputs],
            ],
            "id": response.id,
            "total": response.raw_output_contents[0].hex(),
            "refusal": refusal,
            "index": [[m.name, m.version, m.state] for m in index.models],
        }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])
