"""A template is found only for requests that mean the same as the one it was made of, but for their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.engine.model import Description, TensorSpec
from convserve_server.rpc.signature import Signature
from convserve_server.rpc.templates import MOST_TEMPLATES, Templates
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

A, B = TensorSpec("a", "FP32", (-1, 3)), TensorSpec("b", "INT16", (-1,))
SIGNATURE = Signature(Description("m", 1, "", (A, B), (TensorSpec("out", "FP32", (-1,)),), batched=True))


def request(rows: int = 2, seed: int = 0, order: str = "ab", **fields: Any) -> Any:
    random = np.random.default_rng(seed)
    message = oip.ModelInferRequest(model_name="m", **fields)
    for name in order:
        if name == "a":
            array, datatype = random.normal(size=(rows, 3)).astype(np.float32), "FP32"
        else:
            array, datatype = random.integers(-99, 99, rows).astype(np.int16), "INT16"
        message.inputs.add(name=name, datatype=datatype, shape=array.shape)
        message.raw_input_contents.append(array.tobytes())
    return message


def remembered(message: Any) -> tuple[Templates, bytes]:
    templates = Templates()
    payload = message.SerializeToString()
    templates.remember(payload, message, SIGNATURE, (0,))
    return templates, payload


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_other_numbers_fit_and_are_read_in_the_models_order_without_a_copy(order: str) -> None:
    templates, _ = remembered(request(order=order))
    other = request(seed=1, order=order)
    payload = other.SerializeToString()
    template = templates.find(payload)
    assert template is not None
    assert (template.model_name, template.model_version, template.outputs) == ("m", "", (0,))
    found = template.inputs(payload)
    for array, expected in zip(found, SIGNATURE.inputs(other), strict=True):
        assert np.array_equal(array, expected)
        assert array.dtype == expected.dtype
        assert not array.flags.owndata


@pytest.mark.parametrize(
    "other",
    [request(rows=3), request(order="ba"), request(id="x"), request(model_version="1")],
    ids=["rows", "order", "id", "version"],
)
def test_a_request_of_another_kind_does_not_fit(other: Any) -> None:
    templates, _ = remembered(request())
    assert templates.find(other.SerializeToString()) is None


@pytest.mark.parametrize(
    "message",
    [
        request(id="x"),
        request(parameters={"priority": oip.InferParameter(int64_param=1)}),
        oip.ModelInferRequest(model_name="m"),
    ],
    ids=["id", "parameters", "no inputs"],
)
def test_what_has_to_be_looked_at_each_time_is_not_remembered(message: Any) -> None:
    templates, payload = remembered(message)
    assert templates.find(payload) is None


def test_contents_that_do_not_lie_at_the_end_are_not_remembered() -> None:
    message = request()
    raw = oip.ModelInferRequest(raw_input_contents=message.raw_input_contents)
    message.ClearField("raw_input_contents")
    payload = raw.SerializeToString() + message.SerializeToString()
    whole = oip.ModelInferRequest.FromString(payload)
    templates = Templates()
    templates.remember(payload, whole, SIGNATURE, (0,))
    assert templates.find(payload) is None


@given(data=st.data())
def test_a_changed_byte_changes_numbers_only_or_the_template_is_not_found(data: st.DataObject) -> None:
    templates, payload = remembered(request())
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    template = templates.find(bytes(changed))
    if template is None:
        return
    try:
        parsed = oip.ModelInferRequest.FromString(bytes(changed))
    except DecodeError:
        raise AssertionError("a template was found for what is no message") from None
    for array, expected in zip(template.inputs(bytes(changed)), SIGNATURE.inputs(parsed), strict=True):
        assert array.tobytes() == expected.tobytes()
    original = request()
    for message in (parsed, original):
        message.ClearField("raw_input_contents")
    assert parsed == original


def test_many_kinds_of_requests_do_not_grow_the_memory_without_end() -> None:
    templates = Templates()
    for rows in range(1, 3 * MOST_TEMPLATES):
        message = request(rows=rows)
        templates.remember(message.SerializeToString(), message, SIGNATURE, (0,))
    assert len(templates._templates) <= MOST_TEMPLATES
    assert templates.find(message.SerializeToString()) is not None
