"""What a request asks of single outputs: their best classes instead of numbers, or a place in shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convserve_proto.open_inference import ModelInferResponse
from convserve_proto.tensors import decode_raw, encode_raw

from convserve_server.engine.model import Description
from convserve_server.errors import InvalidRequest
from convserve_server.rpc.classification_extension import check_datatype, classify
from convserve_server.rpc.parameters import OFFSET, REGION, SIZE, RegionRange, region_range, whole_number
from convserve_server.rpc.regions import Regions

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import ModelInferRequest
    from convserve_proto.open_inference_pb2 import ModelInferResponse as Response

CLASSIFICATION = "classification"
_KNOWN = frozenset({CLASSIFICATION, REGION, SIZE, OFFSET, "binary_data"})


@dataclass(frozen=True)
class _Wish:
    """What is asked of one output."""

    classes: int = 0
    """How many of the best classes; 0 asks for the numbers themselves."""
    place: RegionRange | None = None


class OutputWishes:
    """What one request asks of its outputs, checked before the model runs.

    Raises InvalidRequest for parameters that are unknown, of the wrong type or exclude each other, RegionNotFound for
    a region that is not registered.
    """

    def __init__(self, request: ModelInferRequest, description: Description, regions: Regions) -> None:
        self._description, self._regions = description, regions
        datatypes = {spec.name: spec.datatype for spec in description.outputs}
        self._wishes: dict[str, _Wish] = {}
        for output in request.outputs:
            if not output.parameters:
                continue
            whose = f"output '{output.name}'"
            if unknown := sorted(set(output.parameters) - _KNOWN):
                raise InvalidRequest(f"{whose} has parameters that this server does not know: {', '.join(unknown)}")
            classes = 0
            place = region_range(whose, output.parameters)
            if CLASSIFICATION in output.parameters:
                classes = whole_number(whose, CLASSIFICATION, output.parameters[CLASSIFICATION])
                if not classes:
                    raise InvalidRequest(f"{whose} asks for 0 classes; ask for 1 or more")
                if place is not None:
                    raise InvalidRequest(f"shared memory can't be set on classification output: {whose}")
                check_datatype(output.name, datatypes[output.name])
            if place is not None:
                regions.check(place.region, place.offset, place.size)
            self._wishes[output.name] = _Wish(classes, place)

    def __bool__(self) -> bool:
        return any(wish.classes or wish.place for wish in self._wishes.values())

    def fulfil(self, payload: bytes) -> bytes:
        """A serialized response with numbers to one as it was asked for.

        Raises InvalidRequest where an output does not fit into its place, TooLarge for too many classes.
        """
        response = ModelInferResponse.FromString(payload)
        for index in range(len(response.outputs)):
            wish = self._wishes.get(response.outputs[index].name)
            if wish is not None and wish.classes:
                self._classify(response, index, wish.classes)
            elif wish is not None and wish.place is not None:
                self._put(response, index, wish.place)
        return response.SerializeToString()

    def _classify(self, response: Response, index: int, classes: int) -> None:
        output = response.outputs[index]
        numbers = decode_raw(output.name, output.datatype, output.shape, response.raw_output_contents[index])
        labels = self._description.output_labels.get(output.name, ())
        text = classify(numbers, classes, labels, batched=self._description.batched)
        output.datatype = "BYTES"
        output.shape[:] = text.shape
        response.raw_output_contents[index] = encode_raw(text)

    def _put(self, response: Response, index: int, place: RegionRange) -> None:
        output, content = response.outputs[index], response.raw_output_contents[index]
        if len(content) > place.size:
            raise InvalidRequest(
                f"shared memory size specified with the request for output '{output.name}' ({place.size} bytes) "
                f"should be at least {len(content)} bytes to hold the results"
            )
        self._regions.write(place.region, place.offset, content)
        output.parameters[REGION].string_param = place.region
        output.parameters[SIZE].int64_param = len(content)
        if place.offset:
            output.parameters[OFFSET].int64_param = place.offset
        # Clients count entries by outputs, so an output in shared memory has one, and it is empty.
        response.raw_output_contents[index] = b""
