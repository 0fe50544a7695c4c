"""A small server of the contract, written by hand, for tests of the client: it answers what it is told to answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from convserve_proto import open_inference as oip
from convserve_proto import vision_pb2
from grpc_health.v1 import health_pb2

Answer = Callable[[bytes], bytes]


class Refused(Exception):
    """Raised by an answer to fail the call."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Received:
    """A call that came in."""

    method: str
    request: bytes
    metadata: dict[str, Any]
    time_remaining: float


class FakeServer(grpc.GenericRpcHandler):
    """Answers by method name; every call that came in is kept in ``received``."""

    def __init__(self) -> None:
        self.target = ""
        self.received: list[Received] = []
        self.answers: dict[str, Answer] = dict(_ANSWERS)
        self._failures: list[Refused] = []
        self._lock = threading.Lock()

    def fail_next(self, code: grpc.StatusCode, message: str = "told to fail", times: int = 1) -> None:
        """Fail the next calls, whatever they are."""
        self._failures.extend([Refused(code, message)] * times)

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(call.method == method for call in self.received)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Any method; one without an answer is UNIMPLEMENTED."""
        method = details.method.rsplit("/", 1)[-1]
        metadata = dict(details.invocation_metadata)

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            with self._lock:
                self.received.append(Received(method, request, metadata, context.time_remaining() or 0.0))
                failure = self._failures.pop(0) if self._failures else None
            try:
                if failure is not None:
                    raise failure
                if method not in self.answers:
                    raise Refused(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
                return self.answers[method](request)
            except Refused as refused:
                context.abort(refused.code, refused.message)

        return grpc.unary_unary_rpc_method_handler(handle)


@contextmanager
def running(credentials: grpc.ServerCredentials | None = None) -> Iterator[FakeServer]:
    """A server on a free port of the loopback, stopped at the end."""
    fake = FakeServer()
    options = [("grpc.max_receive_message_length", 64 * 2**20), ("grpc.max_send_message_length", 64 * 2**20)]
    server = grpc.server(ThreadPoolExecutor(8), handlers=[fake], options=options)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    fake.target = f"127.0.0.1:{port}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


def _model_metadata(request: bytes) -> bytes:
    name = oip.ModelMetadataRequest.FromString(request).name
    if name == "nope":
        raise Refused(grpc.StatusCode.NOT_FOUND, "there is no model 'nope'")
    response = oip.ModelMetadataResponse(name=name, versions=["1", "2"], platform="onnx_onnxv1")
    response.inputs.add(name="input", datatype="FP32", shape=[-1, 3, 32, 32])
    response.outputs.add(name="logits", datatype="FP32", shape=[-1, 10])
    response.properties["provider"] = "CPUExecutionProvider"
    return response.SerializeToString()


def _model_ready(request: bytes) -> bytes:
    name = oip.ModelReadyRequest.FromString(request).name
    if name == "nope":
        raise Refused(grpc.StatusCode.NOT_FOUND, "there is no model 'nope'")
    return oip.ModelReadyResponse(ready=name != "resting").SerializeToString()


def _infer(request: bytes) -> bytes:
    """Answers with the inputs, under the names of the requested outputs where there are any."""
    asked = oip.ModelInferRequest.FromString(request)
    response = oip.ModelInferResponse(model_name=asked.model_name, model_version="2", id=asked.id)
    names = [output.name for output in asked.outputs] or [entry.name for entry in asked.inputs]
    for name, entry, raw in zip(names, asked.inputs, asked.raw_input_contents, strict=True):
        response.outputs.add(name=name, datatype=entry.datatype, shape=entry.shape)
        response.raw_output_contents.append(raw)
    response.parameters["cached"].bool_param = False
    return response.SerializeToString()


def _classify(request: bytes) -> bytes:
    """Calls every image after its size; one with b'bad' in it fails, one with b'large' has to come alone."""
    asked = vision_pb2.ClassifyRequest.FromString(request)
    response = vision_pb2.ClassifyResponse(
        model_name=asked.model_name or "simple_cnn", model_version="1", queue_seconds=0.25, inference_seconds=0.5
    )
    for index, image in enumerate(asked.images):
        result = response.results.add()
        data = image.encoded or image.pixels.data
        if b"bad" in data:
            result.error.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
            result.error.message = f"image {index} cannot be decoded"
            continue
        if b"large" in data and len(asked.images) > 1:
            result.error.code = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
            result.error.message = f"image {index} takes this request over a limit"
            continue
        for rank in range(asked.top_k):
            result.classifications.add(label=f"size {len(data)}", index=rank, probability=0.5 ** (rank + 1))
    return response.SerializeToString()


def _convolve(request: bytes) -> bytes:
    """Answers with the image, or with three planes of 1 x 2, as every matrix that was asked for."""
    asked = vision_pb2.ConvolveRequest.FromString(request)
    if asked.HasField("matrix"):
        planes = [asked.matrix]
    else:
        planes = [vision_pb2.Matrix(rows=1, columns=2, values=[plane, -8.0]) for plane in (1.0, 2.0, 3.0)]
    response = vision_pb2.ConvolveResponse(
        rows=planes[0].rows,
        columns=planes[0].columns,
        responses=[] if asked.omit_values else planes,
        gradient_magnitudes=planes if asked.gradient else [],
        gradient_directions=planes if asked.gradient else [],
        png=b"\x89PNG of the fake" if asked.png else b"",
        kernel=asked.custom_kernel
        if asked.HasField("custom_kernel")
        else vision_pb2.Matrix(rows=1, columns=1, values=[float(asked.preset)]),
        model_name="convolve",
        model_version="1",
    )
    return response.SerializeToString()


def _list(request: bytes) -> bytes:
    statuses = {
        "": health_pb2.HealthCheckResponse.SERVING,
        "inference.GRPCInferenceService": health_pb2.HealthCheckResponse.SERVING,
        "models/simple_cnn": health_pb2.HealthCheckResponse.SERVING,
        "models/resting": health_pb2.HealthCheckResponse.NOT_SERVING,
        "models/convolve": health_pb2.HealthCheckResponse.SERVING,
    }
    response: bytes = health_pb2.HealthListResponse(
        statuses={name: health_pb2.HealthCheckResponse(status=status) for name, status in statuses.items()}
    ).SerializeToString()
    return response


_ANSWERS: dict[str, Answer] = {
    "ServerLive": lambda _: oip.ServerLiveResponse(live=True).SerializeToString(),
    "ServerReady": lambda _: oip.ServerReadyResponse(ready=True).SerializeToString(),
    "ModelReady": _model_ready,
    "ServerMetadata": lambda _: oip.ServerMetadataResponse(
        name="fake", version="9", extensions=["health"]
    ).SerializeToString(),
    "ModelMetadata": _model_metadata,
    "ModelInfer": _infer,
    "Classify": _classify,
    "Convolve": _convolve,
    "List": _list,
}
