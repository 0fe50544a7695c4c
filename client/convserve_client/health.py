"""The part of grpc.health.v1 that the client asks: List, which names what a server serves.

Its three messages are declared here, in a descriptor pool of their own, so that the client needs neither
grpcio-health-checking nor any luck with other packages that bring the same definitions.
"""

from __future__ import annotations

from typing import Any

from convserve_proto.message_classes import lasting_class
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto

LIST = "/grpc.health.v1.Health/List"
SERVING = 1
MODEL_PREFIX = "models/"
"""What convserve's server puts before a model's name in the health service."""


def _list_response() -> Any:
    file = FileDescriptorProto(name="convserve_client/health.proto", package="grpc.health.v1", syntax="proto3")
    check = file.message_type.add(name="HealthCheckResponse")
    # An enum of the published definition; an int32 reads the same on the wire and takes numbers yet to come.
    _add_field(check, "status", 1, FieldDescriptorProto.TYPE_INT32)
    response = file.message_type.add(name="HealthListResponse")
    entry = response.nested_type.add(name="StatusesEntry")
    entry.options.map_entry = True
    _add_field(entry, "key", 1, FieldDescriptorProto.TYPE_STRING)
    _add_field(entry, "value", 2, FieldDescriptorProto.TYPE_MESSAGE, ".grpc.health.v1.HealthCheckResponse")
    statuses = _add_field(
        response, "statuses", 1, FieldDescriptorProto.TYPE_MESSAGE, ".grpc.health.v1.HealthListResponse.StatusesEntry"
    )
    statuses.label = FieldDescriptorProto.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    lasting_class(pool.FindMessageTypeByName("grpc.health.v1.HealthCheckResponse"))
    return lasting_class(pool.FindMessageTypeByName("grpc.health.v1.HealthListResponse"))


def _add_field(
    message: DescriptorProto, name: str, number: int, kind: FieldDescriptorProto.Type.ValueType, type_name: str = ""
) -> FieldDescriptorProto:
    field = message.field.add(name=name, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if type_name:
        field.type_name = type_name
    return field


HealthListResponse = _list_response()


def served_models(payload: bytes) -> dict[str, bool]:
    """Each model that a List reply names, by name in order, and whether it is serving."""
    statuses = HealthListResponse.FromString(payload).statuses
    return {
        service.removeprefix(MODEL_PREFIX): statuses[service].status == SERVING
        for service in sorted(statuses)
        if service.startswith(MODEL_PREFIX)
    }
