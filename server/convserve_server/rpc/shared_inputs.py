"""Inputs that lie in shared memory, brought into the request as if they had been sent in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convserve_proto.open_inference import ModelInferRequest as Request

from convserve_server.errors import InvalidRequest
from convserve_server.rpc.parameters import RegionRange, region_range

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import ModelInferRequest

    from convserve_server.rpc.regions import Regions


def with_shared_inputs(request: ModelInferRequest, regions: Regions) -> ModelInferRequest:
    """The request, or a copy with the contents of its shared inputs among the raw ones.

    They are copied, so the caller may write to its memory again as soon as the call is answered, and what is
    checked is what is run.

    Raises InvalidRequest and RegionNotFound for regions that are not there, and for inputs that come twice.
    """
    if not any(tensor.parameters for tensor in request.inputs):
        return request
    ranges = [region_range(f"input '{t.name}'", t.parameters) for t in request.inputs]
    if not any(ranges):
        return request
    copy = Request()
    copy.CopyFrom(request)
    del copy.raw_input_contents[:]
    copy.raw_input_contents.extend(_contents(request, ranges, regions))
    return copy


def _contents(request: ModelInferRequest, ranges: list[RegionRange | None], regions: Regions) -> list[bytes]:
    # Inputs in shared memory take no entry of the raw contents.
    sent = list(request.raw_input_contents)
    contents = []
    for tensor, shared in zip(request.inputs, ranges, strict=True):
        if shared is not None:
            if tensor.HasField("contents"):
                raise InvalidRequest(
                    f"unexpected explicit tensor data for input tensor '{tensor.name}' of model "
                    f"'{request.model_name}': it is in shared memory already"
                )
            contents.append(regions.read(shared.region, shared.offset, shared.size))
        elif sent:
            contents.append(sent.pop(0))
        else:
            raise InvalidRequest(
                f"unable to find data for input tensor '{tensor.name}' for model '{request.model_name}' in request: "
                "next to inputs in shared memory, the others go into raw_input_contents"
            )
    if sent:
        raise InvalidRequest(
            f"raw_input_contents has {len(sent)} entries more than model '{request.model_name}' has inputs "
            "that are not in shared memory"
        )
    return contents
