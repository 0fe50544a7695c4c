"""Classes of messages outlive the messages: see convserve_proto/message_classes.py for what happened else."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence

import pytest
from convserve_client import health
from convserve_proto import manifest_pb2, open_inference, vision_pb2
from convserve_proto.message_classes import lasting_class
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool


def names(messages: Sequence[Descriptor]) -> Iterator[str]:
    for message in messages:
        yield message.full_name
        yield from names(message.nested_types)


def class_of(pool: DescriptorPool, name: str) -> weakref.ref[type]:
    # The descriptor is let go: as long as somebody holds it, it holds the class.
    return weakref.ref(message_factory.GetMessageClass(pool.FindMessageTypeByName(name)))


FILES = [
    open_inference.ModelInferRequest.DESCRIPTOR.file,
    health._list_response().DESCRIPTOR.file,
    manifest_pb2.DESCRIPTOR,
    vision_pb2.DESCRIPTOR,
]
CASES = [(file.pool, name) for file in FILES for name in names(list(file.message_types_by_name.values()))]


@pytest.mark.parametrize(("pool", "name"), CASES, ids=[name for _, name in CASES])
def test_the_class_of_a_message_is_never_garbage(pool: DescriptorPool, name: str) -> None:
    made = class_of(pool, name)
    gc.collect()
    assert made() is not None


def test_a_nested_class_that_nobody_keeps_is_garbage_which_is_why_they_are_kept() -> None:
    file = FileDescriptorProto(name="kept.proto", package="kept", syntax="proto3")
    file.message_type.add(name="Outer").nested_type.add(name="Inner")
    pool = DescriptorPool()
    pool.Add(file)
    unkept = class_of(pool, "kept.Outer.Inner")
    gc.collect()
    assert unkept() is None
    lasting_class(pool.FindMessageTypeByName("kept.Outer"))
    kept = class_of(pool, "kept.Outer.Inner")
    gc.collect()
    assert kept() is not None
