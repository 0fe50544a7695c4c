"""What is registered on grpc.server itself: health, reflection, and the stream of inference requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from convserve_proto import open_inference as oip
from convserve_server.calls import Method
from convserve_server.load import Load
from convserve_server.rpc.health import Health
from convserve_server.rpc.inference_service import InferenceService
from convserve_server.rpc.reflection import Reflection
from convserve_server.rpc.regions import Regions
from convserve_server.rpc.streaming import GRPC_ERRORS, StreamService
from convserve_server.rpc.tracing import Tracer
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from fuzz.models import MODELS, Served
from fuzz.served import Registered
from fuzz.target import Target, Try
from fuzz.targets.infer import seeds
from fuzz.wire_fields import join, split

CALLS: tuple[tuple[str, tuple[tuple[str, str], ...], int], ...] = (
    ("/grpc.health.v1.Health/Check", (), 1),
    ("/grpc.health.v1.Health/List", (), 1),
    # A watcher hears of the status, and then only of changes.
    ("/grpc.health.v1.Health/Watch", (), 1),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", (), 1000),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", (), 1000),
    (f"/{oip.SERVICE}/ModelStreamInfer", (), 1000),
    (f"/{oip.SERVICE}/ModelStreamInfer", (GRPC_ERRORS,), 1000),
)
"""Path, metadata, and answers to wait for. An input is a message: a varint 1 says which of these, every field of bytes
is a message to it."""
_MOST_MESSAGES = 20


@contextmanager
def _opened() -> Iterator[Try]:
    server: Any = Registered()
    health, reflection = Health([oip.SERVICE]), Reflection([oip.SERVICE])
    infer = InferenceService(Served(*MODELS), Regions(), Tracer()).infer
    streams = StreamService(Method(f"/{oip.SERVICE}/ModelStreamInfer", infer), Load(1 << 30))
    for service in (health, reflection, streams):
        service.add_to(server)

    def attempt(data: bytes) -> str:
        fields = split(data) or []
        chosen = next((value for _, wire, value in fields if wire == 0 and isinstance(value, int)), 0)
        path, metadata, most = CALLS[chosen % len(CALLS)]
        messages = [value for _, _, value in fields if isinstance(value, bytes)][:_MOST_MESSAGES]
        outcome: str = server.ask(path, messages or [b""], metadata, most)
        return outcome

    yield attempt
    streams.close()
    reflection.close()
    health.close()


def _seeds() -> Iterator[bytes]:
    check = health_pb2.HealthCheckRequest(service=oip.SERVICE).SerializeToString()
    for call in (0, 1, 2):
        yield join([(1, 0, call), (2, 2, check)])
    request = reflection_pb2.ServerReflectionRequest
    extension = reflection_pb2.ExtensionRequest(containing_type="inference.ModelInferRequest", extension_number=5)
    asked = (
        request(list_services=""),
        request(file_by_filename="convserve_proto/vision.proto", host="h"),
        request(file_containing_symbol="inference.GRPCInferenceService.ModelInfer"),
        request(file_containing_extension=extension),
        request(all_extension_numbers_of_type="inference.ModelInferRequest"),
    )
    for call in (3, 4):
        yield join([(1, 0, call), *((2, 2, message.SerializeToString()) for message in asked)])
    for call in (5, 6):
        yield join([(1, 0, call), *((2, 2, message) for message in list(seeds())[:6])])
    yield join([(1, 0, 5), (2, 2, b"\n\x01x\x1a\x02id"), (2, 2, b"\xff")])


TARGET = Target("services", _opened, _seeds)
