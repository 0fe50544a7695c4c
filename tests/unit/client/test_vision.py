"""Pictures and kernels, with both clients: every form a caller has them in, and the reply as values."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_client import (
    KERNELS,
    Classification,
    ClassifyResult,
    ImageError,
    ImageFailed,
    InputError,
    ReplyError,
    Unavailable,
)
from convserve_client.images import image_message
from convserve_proto import vision_pb2
from PIL import Image
from support.fake_server import FakeServer

from .conftest import Call


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def asked(server: FakeServer) -> list[vision_pb2.ClassifyRequest]:
    return [vision_pb2.ClassifyRequest.FromString(r.request) for r in server.received if r.method == "Classify"]


def convolved(server: FakeServer) -> vision_pb2.ConvolveRequest:
    return vision_pb2.ConvolveRequest.FromString(server.received[-1].request)


def test_one_image_or_many_in_any_form(server: FakeServer, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "five.bin"
    file.write_bytes(b"12345")
    pixels = np.zeros((2, 3, 3), np.uint8)
    results = call(server.target, "classify", [file, str(file), b"12", pixels, Image.new("L", (4, 4))], top_k=2)
    assert [result.name for result in results] == [str(file), str(file), "image 3", "image 4", "image 5"]
    sizes = [result.classifications[0].label for result in results]
    assert sizes == ["size 5", "size 5", "size 2", "size 18", "size 16"]
    for one in (file, b"12", pixels, Image.new("L", (4, 4))):
        assert len(call(server.target, "classify", one)) == 1
    assert len(call(server.target, "classify", np.zeros((2, 4, 4, 3), np.uint8))) == 2


def test_a_result_has_classes_model_and_timings(server: FakeServer, call: Call) -> None:
    assert call(server.target, "classify", b"12", top_k=2) == [
        ClassifyResult(
            name="image 1",
            classifications=(Classification("size 2", 0, 0.5), Classification("size 2", 1, 0.25)),
            model_name="simple_cnn",
            model_version="1",
            queue_seconds=0.25,
            inference_seconds=0.5,
        )
    ]


def test_an_image_that_cannot_be_read_fails_alone(server: FakeServer, call: Call, tmp_path: Path) -> None:
    results = call(server.target, "classify", [b"12", tmp_path / "absent.png", b"bad", tmp_path, b"123"])
    assert [bool(result.classifications) for result in results] == [True, False, False, False, True]
    codes = [result.error.code for result in results if result.error]
    assert codes == ["NOT_FOUND", "INVALID_ARGUMENT", "INVALID_ARGUMENT"]
    assert results[2].error == ImageError("INVALID_ARGUMENT", "the image cannot be decoded")
    assert len(asked(server)[0].images) == 3


def test_the_best_class_of_a_mistyped_path_is_an_error_that_names_it(
    server: FakeServer, call: Call, tmp_path: Path
) -> None:
    [result] = call(server.target, "classify", tmp_path / "typo.png")
    with pytest.raises(ImageFailed, match=r"typo\.png: the image cannot be read: No such file .* \(NOT_FOUND\)"):
        _ = result.best
    with pytest.raises(ImageFailed, match="knows no classes"):
        _ = ClassifyResult("empty").best
    likeliest = Classification("cat", 3, 0.9)
    assert ClassifyResult("cat", (likeliest, Classification("dog", 5, 0.1))).best is likeliest


def test_an_image_that_only_its_neighbours_took_over_a_limit_is_sent_alone(server: FakeServer, call: Call) -> None:
    results = call(server.target, "classify", [b"12", b"large one", b"bad", b"large two."], top_k=1)
    labels = [entry.label for result in results for entry in result.classifications]
    assert labels == ["size 2", "size 9", "size 10"]
    assert [len(request.images) for request in asked(server)] == [4, 1, 1]


def test_images_that_all_fail_here_cost_no_call(server: FakeServer, call: Call, tmp_path: Path) -> None:
    assert call(server.target, "classify", [tmp_path / "a", tmp_path / "b"])[1].error.code == "NOT_FOUND"
    assert call(server.target, "classify", []) == []
    assert server.received == []


def test_an_image_over_the_limit_fails_alone_without_being_read(server: FakeServer, call: Call, tmp_path: Path) -> None:
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(2**40)  # sparse: reading it would take a terabyte of memory
    results = call(server.target, "classify", [huge, b"x" * 2000, b"12"], settings={"max_message_bytes": 1000})
    assert [result.error.code if result.error else "OK" for result in results] == [
        "RESOURCE_EXHAUSTED",
        "RESOURCE_EXHAUSTED",
        "OK",
    ]


def test_many_images_go_in_calls_of_bounded_size_and_come_back_in_order(server: FakeServer, call: Call) -> None:
    progress: list[int] = []
    images = (b"x" * size for size in range(1, 151))
    results = call(server.target, "classify", images, top_k=1, progress=progress.append)
    assert [result.classifications[0].label for result in results] == [f"size {size}" for size in range(1, 151)]
    assert sorted(len(request.images) for request in asked(server)) == [22, 32, 32, 32, 32]
    assert progress == sorted(progress)
    assert progress[-1] == 150


def test_no_call_is_larger_than_the_limit(server: FakeServer, call: Call) -> None:
    call(server.target, "classify", [b"x" * 400] * 20, settings={"max_message_bytes": 1000})
    assert max(len(received.request) for received in server.received) <= 1000
    assert sum(len(request.images) for request in asked(server)) == 20


def test_images_are_read_only_when_their_call_is_due(server: FakeServer, call: Call) -> None:
    """A folder of any size fits in memory: a failing call ends it before the rest was read."""
    server.fail_next(grpc.StatusCode.UNAVAILABLE, times=99)
    taken = 0

    def images() -> Any:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield b"x"

    with pytest.raises(Unavailable):
        call(server.target, "classify", images(), calls_in_flight=2)
    assert taken < 500


@pytest.mark.parametrize("settings", [{"top_k": 0}, {"calls_in_flight": 0}])
def test_counts_below_one_are_refused(server: FakeServer, call: Call, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        call(server.target, "classify", b"12", **settings)


def test_a_reply_with_too_few_results_is_refused(server: FakeServer, call: Call) -> None:
    server.answers["Classify"] = lambda _: vision_pb2.ClassifyResponse().SerializeToString()
    with pytest.raises(ReplyError, match="results for 0 images, but 1 were sent"):
        call(server.target, "classify", b"12")


@pytest.mark.parametrize(
    "source", [3, None, np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 3)), np.zeros((0, 2, 3), np.uint8)]
)
def test_what_is_no_image_is_refused_with_what_would_be(source: Any) -> None:
    with pytest.raises(InputError, match="uint8"):
        image_message(source)


def test_a_pil_image_is_turned_by_its_exif_orientation_as_the_server_turns_files() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(encoded(Image.new("RGB", (4, 2)), "JPEG", exif=exif)))
    message = image_message(opened)
    assert (message.pixels.width, message.pixels.height) == (2, 4)


@pytest.mark.parametrize("mode", ["1", "P", "PA", "LA", "I;16", "I", "CMYK", "YCbCr", "F", "RGBA", "RGB", "L"])
def test_every_mode_of_pil_can_be_sent(mode: str) -> None:
    message = image_message(Image.new(mode, (3, 2)))
    if message.WhichOneof("source") == "encoded":
        assert Image.open(io.BytesIO(message.encoded)).size == (3, 2)
    else:
        assert len(message.pixels.data) == 3 * 2 * message.pixels.channels


def test_sixteen_bits_are_not_cut_to_eight_on_the_way() -> None:
    deep = Image.fromarray(np.array([[0, 40_000]], np.uint16))
    assert np.asarray(Image.open(io.BytesIO(image_message(deep).encoded))).max() == 40_000


def test_a_matrix_and_a_kernel_make_a_response(server: FakeServer, call: Call) -> None:
    result = call(server.target, "convolve", [[1, 2, 3], [4, 5, 6]], [[1, 0], [0, -1]])
    np.testing.assert_array_equal(result.responses, [[[1, 2, 3], [4, 5, 6]]])
    np.testing.assert_array_equal(result.kernel, [[1, 0], [0, -1]])
    assert result.gradient_magnitudes.shape == result.gradient_directions.shape == (0, 2, 3)
    assert (result.rows, result.columns, result.png, result.model_name) == (2, 3, b"", "convolve")


def test_a_picture_per_channel_makes_three_planes(server: FakeServer, call: Call) -> None:
    result = call(server.target, "convolve", b"picture", "sobel_x", color="per_channel", gradient=True, png=True)
    assert result.responses.shape == (3, 1, 2)
    assert result.gradient_magnitudes[2, 0, 0] == 3.0
    assert result.png.startswith(b"\x89PNG")


def test_every_option_reaches_the_server(server: FakeServer, call: Call) -> None:
    call(server.target, "convolve", b"picture", "scharr-y", operation="convolution", padding="same", stride=3,
         color="per-channel", gradient=True, png=True, values=False)  # fmt: skip
    assert convolved(server) == vision_pb2.ConvolveRequest(
        image=vision_pb2.Image(encoded=b"picture"),
        preset=vision_pb2.KERNEL_PRESET_SCHARR_Y,
        operation=vision_pb2.OPERATION_CONVOLUTION,
        padding=vision_pb2.PADDING_SAME,
        stride=3,
        color_mode=vision_pb2.COLOR_MODE_PER_CHANNEL,
        gradient=True,
        png=True,
        omit_values=True,
    )


def test_uint8_arrays_are_pixels_and_other_numbers_a_matrix(server: FakeServer, call: Call) -> None:
    call(server.target, "convolve", np.zeros((4, 4), np.uint8), "identity")
    assert convolved(server).image.pixels.channels == 1
    call(server.target, "convolve", np.zeros((4, 4)), "identity")
    assert convolved(server).WhichOneof("input") == "matrix"


def test_the_kernels_are_those_of_the_contract() -> None:
    assert len(KERNELS) == 11
    assert {"sobel_x", "laplacian", "gaussian_blur", "identity"} <= set(KERNELS)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kernel": "sobbel_x"}, "no kernel 'sobbel_x'.*did you mean sobel_x?"),
        ({"kernel": "unspecified"}, "no kernel"),
        ({"operation": "correlate"}, "no operation 'correlate'; there are cross_correlation, convolution"),
        ({"padding": "full"}, "no padding 'full'; there are valid, same"),
        ({"color": "red"}, "no color mode 'red'"),
        ({"stride": 0}, "stride is 0"),
        ({"kernel": [1, 2]}, "the kernel is"),
    ],
)
def test_unknown_names_are_refused_with_those_there_are(
    server: FakeServer, call: Call, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        call(server.target, "convolve", [[1.0]], **{"kernel": "sobel_x", **settings})
    assert server.received == []
