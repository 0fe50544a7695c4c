"""Convolution.Convolve agrees with scipy.signal and with the plainest loop, and refuses what cannot be computed."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from convserve_proto import vision_pb2 as vision
from convserve_server.calls import Code, Handler
from convserve_server.errors import InferenceFailed, QueueFull
from convserve_server.rpc.convolution import Convolution
from convserve_server.rpc.convolution_request import ConvolutionLimits
from convserve_server.rpc.images import ImageLimits
from convserve_server.rpc.kernels import GRADIENT_PAIRS, PRESETS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy import signal
from unit.vision.fakes import FakeCall, FakeModel, FakeModels, classifier_model

Convolve = Callable[[vision.ConvolveRequest], vision.ConvolveResponse]
Refused = Callable[..., str]
Array = NDArray[Any]

COUNT_TO_25 = np.arange(1, 26).reshape(5, 5)
CROSS_CORRELATION, CONVOLUTION = vision.OPERATION_CROSS_CORRELATION, vision.OPERATION_CONVOLUTION
VALID, SAME = vision.PADDING_VALID, vision.PADDING_SAME
SOBEL_X = vision.KERNEL_PRESET_SOBEL_X


def matrix(values: ArrayLike) -> vision.Matrix:
    array = np.asarray(values, np.float32)
    return vision.Matrix(rows=array.shape[0], columns=array.shape[1], values=array.ravel().tolist())


def array(message: vision.Matrix) -> Array:
    return np.array(message.values, np.float32).reshape(message.rows, message.columns)


def png(pixels: Array) -> vision.Image:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return vision.Image(encoded=file.getvalue())


def picture(response: vision.ConvolveResponse) -> Array:
    return np.asarray(Image.open(io.BytesIO(response.png)))


def naive(image: Array, kernel: Array, operation: int, padding: int, stride: int) -> Array:
    """The definition: for each position, the sum over the kernel of image times kernel, zeros outside the image."""
    (rows, columns), (high, wide) = image.shape, kernel.shape
    if operation == CONVOLUTION:
        kernel = [[kernel[high - 1 - i][wide - 1 - j] for j in range(wide)] for i in range(high)]  # type: ignore[assignment]
    top = left = 0
    if padding == SAME:
        # The element of the kernel that lies on the position: the lower middle one, which flipping makes the upper.
        top, left = (high // 2, wide // 2) if operation == CONVOLUTION else ((high - 1) // 2, (wide - 1) // 2)
    down, across = (rows, columns) if padding == SAME else (rows - high + 1, columns - wide + 1)
    response = np.zeros((len(range(0, down, stride)), len(range(0, across, stride))))
    for y, row in enumerate(range(0, down, stride)):
        for x, column in enumerate(range(0, across, stride)):
            for i in range(high):
                for j in range(wide):
                    r, c = row + i - top, column + j - left
                    if 0 <= r < rows and 0 <= c < columns:
                        response[y, x] += image[r][c] * kernel[i][j]
    return response


@pytest.mark.parametrize(("operation", "expected"), [(0, 8), (CROSS_CORRELATION, 8), (CONVOLUTION, -8)])
def test_sobel_on_1_to_25_is_8_everywhere_and_its_negative_when_flipped(
    convolve: Convolve, operation: vision.Operation, expected: float
) -> None:
    response = convolve(vision.ConvolveRequest(matrix=matrix(COUNT_TO_25), preset=SOBEL_X, operation=operation))
    assert array(response.responses[0]).tolist() == [[expected] * 3] * 3
    assert (response.rows, response.columns) == (3, 3)
    assert array(response.kernel).tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert (response.model_name, response.model_version) == ("convolve", "1")
    assert (response.queue_seconds, response.inference_seconds) == (0.25, 0.5)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Array, Array, int, int, int]:
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    high, wide = draw(st.integers(1, rows)), draw(st.integers(1, columns))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = random.standard_normal((rows, columns)).astype(np.float32)
    kernel = random.standard_normal((high, wide)).astype(np.float32)
    return (
        image,
        kernel,
        draw(st.sampled_from([CROSS_CORRELATION, CONVOLUTION])),
        draw(st.sampled_from([VALID, SAME])),
        draw(st.integers(1, 4)),
    )


@given(case=cases())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_size_operation_padding_and_stride_agrees_with_scipy_and_the_definition(
    convolve: Convolve, case: tuple[Array, Array, vision.Operation, vision.Padding, int]
) -> None:
    image, kernel, operation, padding, stride = case
    response = convolve(
        vision.ConvolveRequest(
            matrix=matrix(image), custom_kernel=matrix(kernel), operation=operation, padding=padding, stride=stride
        )
    )
    ours = array(response.responses[0])
    reference = signal.convolve2d if operation == CONVOLUTION else signal.correlate2d
    # In float64, and the kernel may be taller and the image wider: scipy swaps its inputs for "valid" only then.
    theirs = reference(image.astype(float), kernel.astype(float), "same" if padding == SAME else "valid")
    np.testing.assert_allclose(ours, theirs[::stride, ::stride], atol=1e-5)
    np.testing.assert_allclose(ours, naive(image, kernel, operation, padding, stride), atol=1e-5)
    assert (response.rows, response.columns) == ours.shape
    np.testing.assert_array_equal(array(response.kernel), kernel)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_slides_the_kernel_that_it_echoes(convolve: Convolve, preset: vision.KernelPreset) -> None:
    image = np.random.default_rng(preset).integers(0, 256, (6, 7)).astype(float)
    response = convolve(vision.ConvolveRequest(matrix=matrix(image), preset=preset))
    expected = signal.correlate2d(image, array(response.kernel), "valid")
    np.testing.assert_allclose(array(response.responses[0]), expected, rtol=1e-6, atol=1e-4)


def test_there_is_a_kernel_for_every_preset_of_the_contract_with_the_sum_that_its_use_needs() -> None:
    assert set(PRESETS) == set(vision.KernelPreset.values()) - {vision.KERNEL_PRESET_UNSPECIFIED}
    keep_brightness = {
        vision.KERNEL_PRESET_SHARPEN,
        vision.KERNEL_PRESET_BOX_BLUR,
        vision.KERNEL_PRESET_GAUSSIAN_BLUR,
        vision.KERNEL_PRESET_IDENTITY,
    }
    for preset, kernel in PRESETS.items():
        assert float(kernel.sum()) == pytest.approx(1 if preset in keep_brightness else 0, abs=1e-6)


def test_identity_gives_the_image_back(convolve: Convolve) -> None:
    request = vision.ConvolveRequest(
        matrix=matrix(COUNT_TO_25), preset=vision.KERNEL_PRESET_IDENTITY, padding=vision.PADDING_SAME
    )
    np.testing.assert_array_equal(array(convolve(request).responses[0]), COUNT_TO_25)


def test_a_stride_beyond_the_image_leaves_the_first_position(convolve: Convolve) -> None:
    response = convolve(vision.ConvolveRequest(matrix=matrix(COUNT_TO_25), preset=SOBEL_X, stride=2**32 - 1))
    assert array(response.responses[0]).tolist() == [[8]]


@pytest.mark.parametrize("operation", [CROSS_CORRELATION, CONVOLUTION])
@pytest.mark.parametrize("preset", sorted(GRADIENT_PAIRS))
def test_the_gradient_is_that_of_the_preset_and_its_partner(
    convolve: Convolve, preset: vision.KernelPreset, operation: vision.Operation
) -> None:
    image = np.random.default_rng(1).standard_normal((7, 6))
    response = convolve(
        vision.ConvolveRequest(matrix=matrix(image), preset=preset, gradient=True, operation=operation, stride=2)
    )
    reference = signal.convolve2d if operation == CONVOLUTION else signal.correlate2d
    x, y = (reference(image, kernel, "valid")[::2, ::2] for kernel in GRADIENT_PAIRS[preset])
    own = x if np.array_equal(array(response.kernel), GRADIENT_PAIRS[preset][0]) else y
    np.testing.assert_array_equal(array(response.kernel), PRESETS[preset])
    np.testing.assert_allclose(array(response.responses[0]), own, atol=1e-4)
    np.testing.assert_allclose(array(response.gradient_magnitudes[0]), np.sqrt(x * x + y * y), atol=1e-4)
    np.testing.assert_allclose(array(response.gradient_directions[0]), np.arctan2(y, x), atol=1e-3)
    assert (response.queue_seconds, response.inference_seconds) == (0.25, 1.0)


def test_brighter_to_the_right_points_along_0_and_brighter_downwards_along_a_quarter_turn(convolve: Convolve) -> None:
    right = np.tile(np.arange(4.0), (4, 1))
    for image, direction in ((right, 0), (right.T, math.pi / 2), (-right, math.pi), (-right.T, -math.pi / 2)):
        response = convolve(vision.ConvolveRequest(matrix=matrix(image), preset=SOBEL_X, gradient=True))
        np.testing.assert_allclose(array(response.gradient_directions[0]), direction, atol=1e-6)


def test_colour_becomes_bt601_luminance_and_a_grey_picture_keeps_its_exact_values(convolve: Convolve) -> None:
    colors = np.random.default_rng(2).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    request = vision.ConvolveRequest(image=png(colors), preset=vision.KERNEL_PRESET_IDENTITY, padding=SAME)
    expected = colors @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(array(convolve(request).responses[0]), expected, atol=1e-4)
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    request.image.CopyFrom(png(grey))
    np.testing.assert_array_equal(array(convolve(request).responses[0]), grey)


def test_per_channel_answers_for_red_green_and_blue(convolve: Convolve) -> None:
    colors = np.random.default_rng(3).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    pixels = vision.Pixels(height=5, width=6, channels=3, data=colors.tobytes())
    response = convolve(
        vision.ConvolveRequest(
            image=vision.Image(pixels=pixels),
            preset=SOBEL_X,
            gradient=True,
            png=True,
            color_mode=vision.COLOR_MODE_PER_CHANNEL,
        )
    )
    for channel in range(3):
        expected = signal.correlate2d(colors[:, :, channel].astype(int), PRESETS[SOBEL_X], "valid")
        np.testing.assert_array_equal(array(response.responses[channel]), expected)
    assert len(response.responses) == len(response.gradient_magnitudes) == len(response.gradient_directions) == 3
    magnitudes = np.stack([array(m) for m in response.gradient_magnitudes], axis=-1)
    np.testing.assert_allclose(picture(response), magnitudes * 255 / magnitudes.max(), atol=0.51)


def test_omitted_values_leave_the_size_the_kernel_and_the_png(convolve: Convolve) -> None:
    response = convolve(
        vision.ConvolveRequest(
            matrix=matrix(COUNT_TO_25), preset=SOBEL_X, gradient=True, png=True, omit_values=True, stride=2
        )
    )
    assert len(response.responses) == len(response.gradient_magnitudes) == len(response.gradient_directions) == 0
    assert (response.rows, response.columns, picture(response).shape) == (2, 2, (2, 2))
    np.testing.assert_array_equal(array(response.kernel), PRESETS[SOBEL_X])


def test_the_png_shows_absolute_values_of_a_kernel_that_sums_to_0_scaled_to_255(convolve: Convolve) -> None:
    kernel = [[0.1, 0.2, -0.3]]
    response = convolve(
        vision.ConvolveRequest(matrix=matrix([[0, 0, 0, -10, 0]]), custom_kernel=matrix(kernel), png=True)
    )
    np.testing.assert_array_equal(picture(response), [[0, 255, 170]])


def test_the_png_shows_a_response_clipped_to_bytes(convolve: Convolve) -> None:
    response = convolve(
        vision.ConvolveRequest(matrix=matrix([[-5, 0, 99.6, 300]]), custom_kernel=matrix([[1]]), png=True)
    )
    np.testing.assert_array_equal(picture(response), [[0, 0, 100, 255]])


@pytest.mark.parametrize("preset", [SOBEL_X, vision.KERNEL_PRESET_LAPLACIAN, vision.KERNEL_PRESET_BOX_BLUR])
@pytest.mark.parametrize("value", [0.0, 7.0])
def test_a_constant_image_has_a_constant_png(convolve: Convolve, preset: vision.KernelPreset, value: float) -> None:
    response = convolve(vision.ConvolveRequest(matrix=matrix(np.full((4, 4), value)), preset=preset, png=True))
    expected = value if preset == vision.KERNEL_PRESET_BOX_BLUR else 0
    np.testing.assert_array_equal(picture(response), np.full((2, 2), expected))


def test_the_smallest_magnitudes_are_scaled_too(convolve: Convolve) -> None:
    image = np.array([[0, 0, 1e-45]], np.float32)
    response = convolve(vision.ConvolveRequest(matrix=matrix(image), custom_kernel=matrix([[-1, 1]]), png=True))
    np.testing.assert_array_equal(picture(response), [[0, 255]])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"matrix": None}, "there is no input in the request: set image or matrix"),
        ({"preset": None}, "there is no kernel in the request: set preset or custom_kernel"),
        ({"preset": 0}, "kernel preset 0 is unknown: use 1 to 11, or custom_kernel"),
        ({"preset": 99}, "kernel preset 99 is unknown"),
        ({"operation": 3}, "operation 3 is unknown"),
        ({"padding": 7}, "padding 7 is unknown"),
        ({"color_mode": 5}, "colour mode 5 is unknown"),
        ({"matrix": vision.Matrix()}, "the matrix is empty (0 x 0)"),
        ({"matrix": vision.Matrix(rows=3, columns=0)}, "the matrix is empty (3 x 0)"),
        ({"matrix": vision.Matrix(rows=3, columns=3, values=[1] * 8)}, "the matrix of 3 x 3 needs 9 values, not 8"),
        ({"matrix": vision.Matrix(rows=2**32 - 1, columns=2**32 - 1)}, "values, not 0"),
        ({"matrix": matrix(np.array([[1, 2], [3, math.nan]]))}, "the matrix has nan in row 1, column 1"),
        ({"matrix": matrix([[1, -math.inf]])}, "the matrix has -inf in row 0, column 1"),
        ({"custom_kernel": vision.Matrix()}, "the kernel is empty (0 x 0)"),
        ({"custom_kernel": matrix([[math.inf]])}, "the kernel has inf in row 0, column 0"),
        ({"custom_kernel": vision.Matrix(rows=1, columns=2, values=[1])}, "the kernel of 1 x 2 needs 2 values, not 1"),
        ({"custom_kernel": matrix(np.ones((6, 1)))}, "the kernel of 6 x 1 is larger than the image of 5 x 5"),
        ({"custom_kernel": matrix(np.ones((1, 6)))}, "the kernel of 1 x 6 is larger than the image of 5 x 5"),
        ({"custom_kernel": matrix([[1]]), "gradient": True}, "a gradient needs a kernel with a partner"),
        ({"preset": vision.KERNEL_PRESET_LAPLACIAN, "gradient": True}, "a gradient needs a kernel with a partner"),
        ({"image": vision.Image(encoded=b"no picture")}, "the image is not a JPEG, PNG, WebP, BMP or GIF file"),
        ({"image": vision.Image()}, "the image has neither encoded bytes nor pixels"),
        ({"matrix": matrix(np.full((3, 3), 3e38))}, None),
        ({"matrix": matrix(np.tile(np.array([-3e38, 0, 3e38]), (3, 1)))}, "larger than float32 holds"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_a_sentence(
    convolve_refused: Refused, convolve: Convolve, changes: dict[str, Any], sentence: str | None
) -> None:
    fields: dict[str, Any] = {"matrix": matrix(COUNT_TO_25), "preset": SOBEL_X} | changes
    if "image" in changes:
        del fields["matrix"]
    if "custom_kernel" in changes:
        del fields["preset"]
    request = vision.ConvolveRequest(**{k: v for k, v in fields.items() if v is not None})
    if sentence is None:  # next to a refused case: large numbers alone are fine
        assert array(convolve(request).responses[0]).tolist() == [[0]]
    else:
        assert sentence in convolve_refused(request)


def test_a_gradient_whose_parts_fit_float32_but_whose_length_does_not_is_refused(convolve_refused: Refused) -> None:
    image = np.zeros((3, 3))
    image[1, 2] = image[2, 1] = 1.5e38  # x and y are both 3e38
    request = vision.ConvolveRequest(matrix=matrix(image), preset=SOBEL_X, gradient=True)
    assert "larger than float32 holds" in convolve_refused(request)


def test_a_message_that_is_none_is_refused(convolve_handler: Handler) -> None:
    call = FakeCall()
    convolve_handler(b"\xff\xff\xff", call)
    assert call.failures[0][0] == Code.INVALID_ARGUMENT


def limited(model: FakeModel, limits: ConvolutionLimits, **fields: Any) -> FakeCall:
    request = vision.ConvolveRequest(matrix=matrix(COUNT_TO_25), **fields)
    call = FakeCall()
    Convolution(FakeModels(model), limits).methods()[0].handler(request.SerializeToString(), call)
    return call


def test_work_is_limited_by_positions_times_kernel_elements_times_kernels(convolve_model: FakeModel) -> None:
    exactly = ConvolutionLimits(max_multiply_adds=9 * 9)
    assert limited(convolve_model, exactly, preset=SOBEL_X).payloads
    for more in ({"gradient": True}, {"padding": SAME}):
        [(code, sentence)] = limited(convolve_model, exactly, preset=SOBEL_X, **more).failures
        assert code == Code.INVALID_ARGUMENT
        assert "at most 81 are accepted: send a smaller image or kernel" in sentence


def test_the_numbers_of_a_response_are_limited_and_a_stride_or_leaving_them_out_helps(
    convolve_model: FakeModel,
) -> None:
    exactly = ConvolutionLimits(max_numbers=9)
    assert limited(convolve_model, exactly, preset=SOBEL_X).payloads
    [(code, sentence)] = limited(convolve_model, exactly, preset=SOBEL_X, gradient=True).failures
    assert code == Code.INVALID_ARGUMENT
    assert "3 x 3 positions x 3 matrices are 27 numbers to answer with; at most 9 are accepted" in sentence
    assert limited(convolve_model, exactly, preset=SOBEL_X, gradient=True, stride=3).payloads
    assert limited(convolve_model, exactly, preset=SOBEL_X, gradient=True, omit_values=True).payloads
    assert limited(convolve_model, exactly, preset=SOBEL_X, padding=SAME).failures
    assert limited(convolve_model, exactly, preset=SOBEL_X, padding=SAME, stride=2).payloads


def test_a_matrix_is_limited_like_a_picture(convolve_model: FakeModel) -> None:
    limits = ConvolutionLimits(images=ImageLimits(max_pixels=24))
    [(code, sentence)] = limited(convolve_model, limits, preset=SOBEL_X).failures
    assert code == Code.INVALID_ARGUMENT
    assert "the matrix has 5 x 5 = 25 pixels; at most 24" in sentence


@pytest.mark.parametrize("refuse_from", [0, 1])
def test_a_full_queue_answers_a_gradient_once_even_when_half_of_it_was_accepted(
    convolve_model: FakeModel, convolve_refused: Refused, refuse_from: int
) -> None:
    convolve_model.refuse_from, convolve_model.refusal = refuse_from, QueueFull("the queue is full")
    request = vision.ConvolveRequest(matrix=matrix(COUNT_TO_25), preset=SOBEL_X, gradient=True)
    assert convolve_refused(request, Code.RESOURCE_EXHAUSTED) == "the queue is full"
    assert len(convolve_model.submitted) == refuse_from
    assert convolve_model.waiting == [], "what was accepted is led, so that nothing stays in the queue"


def test_a_failed_run_is_answered_once_with_its_sentence(convolve_model: FakeModel, convolve_refused: Refused) -> None:
    convolve_model.compute = lambda *_: InferenceFailed("the run failed")
    request = vision.ConvolveRequest(matrix=matrix(COUNT_TO_25), preset=SOBEL_X, gradient=True)
    assert convolve_refused(request, Code.INTERNAL) == "the run failed"


def test_without_the_model_the_call_says_that_it_is_not_there() -> None:
    call = FakeCall()
    Convolution(FakeModels()).methods()[0].handler(vision.ConvolveRequest().SerializeToString(), call)
    assert call.failures == [(Code.NOT_FOUND, "there is no model 'convolve'")]


def test_another_model_of_that_name_is_not_asked() -> None:
    model = classifier_model(name="convolve")
    [(code, sentence)] = limited(model, ConvolutionLimits(), preset=SOBEL_X).failures
    assert (code, model.submitted) == (Code.NOT_FOUND, [])
    assert "is not the one that slides kernels" in sentence
