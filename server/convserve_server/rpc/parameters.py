"""Parameters of inputs and outputs: where in shared memory a tensor lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convserve_server.errors import InvalidRequest

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import InferParameter

REGION, SIZE, OFFSET = "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"


@dataclass(frozen=True)
class RegionRange:
    """Bytes of a registered region."""

    region: str
    offset: int
    size: int


def region_range(whose: str, parameters: Mapping[str, InferParameter]) -> RegionRange | None:
    """Where a tensor lies in shared memory, or None. ``whose`` names it in errors, such as "input 'x'".

    Raises InvalidRequest for a parameter of the wrong type, a missing size, and a negative number.
    """
    if REGION not in parameters:
        if SIZE in parameters or OFFSET in parameters:
            raise InvalidRequest(f"{whose} has a place in shared memory, but no parameter {REGION}")
        return None
    region = parameters[REGION]
    if region.WhichOneof("parameter_choice") != "string_param":
        raise InvalidRequest(f"{whose} has a parameter {REGION} that is no string_param")
    if SIZE not in parameters:
        raise InvalidRequest(f"{whose} is in shared memory; its parameter {SIZE} is missing")
    size = whole_number(whose, SIZE, parameters[SIZE])
    offset = whole_number(whose, OFFSET, parameters[OFFSET]) if OFFSET in parameters else 0
    return RegionRange(region.string_param, offset, size)


def whole_number(whose: str, name: str, parameter: InferParameter) -> int:
    """The value of a parameter that is a whole number, 0 or more; raises InvalidRequest for anything else."""
    field = parameter.WhichOneof("parameter_choice")
    if field not in ("int64_param", "uint64_param"):
        raise InvalidRequest(f"{whose} has a parameter '{name}' that is no int64_param, but {field or 'nothing'}")
    number: int = getattr(parameter, field)
    if number < 0:
        raise InvalidRequest(f"{whose} has a parameter '{name}' of {number}; it takes 0 or more")
    return number
