"""A real server with an artifact of several forms: which one answers, by what it is told, and by what it is sent."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_proto.cpu_kind import cpu_kind
from convserve_server.errors import StartupError
from support.servers import call, running_app
from support.variants import write_variants

INFER = "/inference.GRPCInferenceService/ModelInfer"
METADATA = "/inference.GRPCInferenceService/ModelMetadata"


def infer(channel: grpc.Channel, *, pixels: bool, rows: int = 1) -> tuple[list[float], str]:
    """Rows of ones; the totals, and the precision that the reply names."""
    request = oip.ModelInferRequest(model_name="sums")
    array = np.ones((rows, 2, 2, 3), np.uint8) if pixels else np.ones((rows, 3, 2, 2), np.float32)
    request.inputs.add(name="pixels" if pixels else "input", datatype="UINT8" if pixels else "FP32", shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    response = call(channel, INFER, request, oip.ModelInferResponse)
    totals = np.frombuffer(response.raw_output_contents[0], np.float32).tolist()
    return totals, response.parameters["precision"].string_param


@pytest.mark.parametrize(
    ("wanted", "proven", "served", "total"),
    [
        ("auto", True, "int8", 1012.0),
        ("auto", False, "fp32", 12.0),
        ("fp32", True, "fp32", 12.0),
        ("int8", False, "int8", 1012.0),
        ("fp16", True, "fp16", 2012.0),
    ],
)
def test_the_precision_is_the_proven_or_the_wanted_one_and_every_reply_says_which(
    tmp_path: Path, wanted: str, proven: bool, served: str, total: float
) -> None:
    write_variants(tmp_path, int8_hardware=[cpu_kind()] if proven else ["another"])
    with running_app(tmp_path, precision=wanted) as app, grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        for _ in range(3):  # the second and third are recognized by the first
            assert infer(channel, pixels=False) == ([total], served)
            assert infer(channel, pixels=True, rows=2) == ([total + 1] * 2, served)
        response = call(channel, METADATA, oip.ModelMetadataRequest(name="sums"), oip.ModelMetadataResponse)
    assert response.properties["precision"] == served
    assert response.properties["pixel_input"] == "pixels UINT8 [-1, 2, 2, 3]"
    assert [i.name for i in response.inputs] == ["input"]


def test_values_and_pixels_at_once_are_answered_each_by_its_own_way_in(tmp_path: Path) -> None:
    write_variants(tmp_path, precisions=("fp32",))
    with (
        running_app(tmp_path, max_queue_delay=0.05) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        method = channel.unary_unary(INFER, lambda b: b, oip.ModelInferResponse.FromString)
        futures = []
        for i in range(20):
            request = oip.ModelInferRequest(model_name="sums")
            array = np.full((1, 2, 2, 3), i, np.uint8) if i % 2 else np.full((1, 3, 2, 2), i, np.float32)
            request.inputs.add(
                name="pixels" if i % 2 else "input", datatype="UINT8" if i % 2 else "FP32", shape=array.shape
            )
            request.raw_input_contents.append(array.tobytes())
            futures.append(method.future(request.SerializeToString(), timeout=20))
        totals = [np.frombuffer(f.result().raw_output_contents[0], np.float32)[0] for f in futures]
    assert totals == [12 * i + i % 2 for i in range(20)]


def test_pixels_of_a_wrong_shape_are_refused_by_name(tmp_path: Path) -> None:
    write_variants(tmp_path, precisions=("fp32",))
    with running_app(tmp_path) as app, grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        request = oip.ModelInferRequest(model_name="sums")
        request.inputs.add(name="pixels", datatype="UINT8", shape=[1, 3, 2, 2])
        request.raw_input_contents.append(bytes(12))
        with pytest.raises(grpc.RpcError) as caught:
            call(channel, INFER, request, oip.ModelInferResponse)
    assert "Expected [-1,2,2,3], got [1,3,2,2]" in str(caught.value)


def test_a_precision_that_no_model_has_is_no_start(tmp_path: Path) -> None:
    write_variants(tmp_path, precisions=("fp32",))
    with (
        pytest.raises(StartupError, match="it has no int8 variant that passed its gates"),
        running_app(tmp_path, precision="int8"),
    ):
        pass
