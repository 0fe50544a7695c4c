"""Message classes of a descriptor pool of one's own, made to stay.

protobuf makes the class of a message when it meets the first one, and remembers it only weakly. The class of a nested
message, which nobody else holds, is garbage whenever no such message is alive. While the garbage collector takes it
apart, another thread can be given it for a new message: where a finalizer releases the interpreter lock in between, as
gRPC's and ONNX Runtime's do, the new message has a class without contents, and the process ends with a segmentation
fault. (Generated code is safe: there the outer class holds the nested ones. Seen with protobuf 7.36.)
"""

from __future__ import annotations

from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor

_kept: list[Any] = []


def lasting_class(descriptor: Descriptor) -> Any:
    """The class of a message; its nested messages' classes, and it, live as long as the process."""
    for nested in descriptor.nested_types:
        lasting_class(nested)
    found = message_factory.GetMessageClass(descriptor)
    _kept.append(found)
    return found
