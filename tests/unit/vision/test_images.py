"""Images of a request become pixels within its limits, however they are sent."""

from __future__ import annotations

import io

import numpy as np
import pytest
from convserve_proto import vision_pb2 as vision
from convserve_server.errors import InvalidRequest, TooLarge
from convserve_server.rpc.images import ImageLimits, PixelBudget, Pixels, decode
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

RANDOM = np.random.default_rng(0)


def read(image: vision.Image, size: tuple[int, int] | None = None, limits: ImageLimits | None = None) -> Pixels:
    return decode(image, "image 7", PixelBudget(limits or ImageLimits()), size)


def raw(pixels: NDArray[np.uint8]) -> vision.Image:
    height, width, channels = pixels.shape
    return vision.Image(pixels=vision.Pixels(height=height, width=width, channels=channels, data=pixels.tobytes()))


def encoded(width: int, height: int, file_format: str = "PNG") -> vision.Image:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, file_format)
    return vision.Image(encoded=file.getvalue())


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
@settings(deadline=None)
def test_raw_rgb_comes_out_as_it_went_in_also_when_its_size_is_the_one_asked_for(
    height: int, width: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read(raw(pixels)), pixels)
    np.testing.assert_array_equal(read(raw(pixels), (width, height)), pixels)


def test_raw_grey_becomes_three_equal_channels() -> None:
    pixels = RANDOM.integers(0, 256, (5, 7, 1), dtype=np.uint8)
    np.testing.assert_array_equal(read(raw(pixels)), np.repeat(pixels, 3, axis=2))


def test_raw_alpha_is_shown_over_white() -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    assert read(raw(pixels)).tolist() == [[[10, 20, 30], [255, 255, 255], [204, 204, 204]]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_raw_pixels_are_resized_as_a_file_with_the_same_pixels_is(channels: int) -> None:
    pixels = RANDOM.integers(0, 256, (20, 31, channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file, "PNG")
    expected = read(vision.Image(encoded=file.getvalue()), (8, 6))
    assert expected.shape == (6, 8, 3)
    np.testing.assert_array_equal(read(raw(pixels), (8, 6)), expected)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (
            vision.Pixels(height=2, width=2, channels=3, data=bytes(11)),
            "has 11 bytes of pixels; height 2 x width 2 x",
        ),
        (vision.Pixels(height=2, width=2, channels=3, data=bytes(13)), "needs 12"),
        (vision.Pixels(height=2, width=2, channels=1), "has 0 bytes of pixels"),
        (vision.Pixels(height=2, width=2, channels=2, data=bytes(8)), "has 2 channels; raw pixels have 1 (grey), 3"),
        (vision.Pixels(height=2, width=2, data=bytes(4)), "has 0 channels"),
        (vision.Pixels(height=0, width=2, channels=3), "is 2 x 0: it has no pixels"),
        (vision.Pixels(height=2, width=0, channels=3), "is 0 x 2: it has no pixels"),
        (vision.Pixels(height=2**32 - 1, width=2**32 - 1, channels=4), "at most 50,000,000 are accepted"),
    ],
)
def test_raw_pixels_that_do_not_add_up_are_refused(pixels: vision.Pixels, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(vision.Image(pixels=pixels))
    assert str(caught.value).startswith("image 7 ")
    assert sentence in str(caught.value)


def test_an_image_that_is_not_set_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="image 7 has neither encoded bytes nor pixels: set one of them"):
        read(vision.Image())


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_exactly_the_limit_is_accepted_and_one_pixel_more_is_not(file_format: str) -> None:
    limits = ImageLimits(max_pixels=100)
    assert read(encoded(10, 10, file_format), limits=limits).shape == (10, 10, 3)
    with pytest.raises(InvalidRequest, match="image 7 has 101 x 1 = 101 pixels; at most 100 are accepted"):
        read(encoded(101, 1, file_format), limits=limits)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP", "GIF", None])
def test_the_images_of_a_request_share_one_budget(file_format: str | None) -> None:
    image = encoded(10, 10, file_format) if file_format else raw(np.zeros((10, 10, 3), np.uint8))
    budget = PixelBudget(ImageLimits(max_pixels=100, max_request_pixels=250))
    for index in range(2):
        decode(image, f"image {index}", budget)
    with pytest.raises(TooLarge, match="image 2 has 100 pixels and takes this request over 250"):
        decode(image, "image 2", budget)
    # What was refused costs nothing: a smaller one still fits.
    assert decode(encoded(10, 5), "image 3", budget).shape == (5, 10, 3)
