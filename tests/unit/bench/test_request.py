"""Requests for a model from what its metadata says."""

from __future__ import annotations

import numpy as np
import pytest
from convserve_client.bench.request import arrays_for, rows_of, serialized
from convserve_client.errors import InputError
from convserve_client.results import ModelInfo, TensorInfo
from convserve_proto import open_inference as oip

CNN = ModelInfo(
    "simple_cnn", inputs=(TensorInfo("input", "FP32", (-1, 3, 32, 32)),), outputs=(TensorInfo("y", "FP32", (-1, 10)),)
)
OPEN = ModelInfo(
    "convolve",
    inputs=(TensorInfo("image", "FP32", (-1, -1, -1)), TensorInfo("kernel", "FP32", (3, 3))),
    outputs=(TensorInfo("y", "FP32", (-1, -1, -1)),),
)


def test_the_first_open_axis_counts_rows_and_other_open_axes_get_32() -> None:
    assert arrays_for(CNN, rows=8)["input"].shape == (8, 3, 32, 32)
    assert arrays_for(OPEN)["image"].shape == (1, 32, 32)


def test_a_given_shape_takes_the_place_of_the_usual_one() -> None:
    assert arrays_for(OPEN, shapes={"image": (3, 8, 9)})["image"].shape == (3, 8, 9)


def test_the_same_arguments_make_the_same_numbers_and_zeros_are_zeros() -> None:
    assert np.array_equal(arrays_for(CNN)["input"], arrays_for(CNN)["input"])
    assert arrays_for(CNN)["input"].std() > 0.5
    assert not arrays_for(CNN, data="zeros")["input"].any()


@pytest.mark.parametrize("datatype", ["BOOL", "UINT8", "INT64", "FP16", "FP64", "BYTES"])
def test_every_datatype_can_be_filled_and_read_back(datatype: str) -> None:
    model = ModelInfo("m", inputs=(TensorInfo("x", datatype, (-1, 2)),))
    request = oip.ModelInferRequest.FromString(serialized("m", arrays_for(model, rows=3)))
    assert request.inputs[0].datatype == datatype
    assert list(request.inputs[0].shape) == [3, 2]


def test_the_request_holds_model_version_shape_and_raw_contents() -> None:
    given = np.arange(2 * 3 * 32 * 32, dtype=np.float32).reshape(2, 3, 32, 32)
    arrays = arrays_for(CNN, given={"input": given})
    request = oip.ModelInferRequest.FromString(serialized("simple_cnn", arrays, "7"))
    assert (request.model_name, request.model_version) == ("simple_cnn", "7")
    assert request.raw_input_contents[0] == given.tobytes()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"shapes": {"pixels": (1, 3, 32, 32)}}, "no input 'pixels'; it has input"),
        ({"shapes": {"input": (1, 3, 32)}}, r"takes FP32 \[-1, 3, 32, 32\], not FP32 \[1, 3, 32\]"),
        ({"given": {"input": np.zeros((1, 3, 32, 32), np.float64)}}, "not FP64"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_before_anything_is_sent(
    arguments: dict[str, dict[str, object]], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        arrays_for(CNN, **arguments)  # type: ignore[arg-type]


def test_rows_are_counted_where_inputs_and_outputs_leave_axis_0_open() -> None:
    assert rows_of(CNN, arrays_for(CNN, rows=5)) == 5
    assert rows_of(OPEN, arrays_for(OPEN)) == 1
