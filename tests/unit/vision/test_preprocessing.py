"""Pixels become rows by the formula that the model states."""

from __future__ import annotations

import numpy as np
from convserve_server.engine.model import Preprocessing
from convserve_server.rpc.preprocessing import normalizer
from hypothesis import given, settings
from hypothesis import strategies as st

PREPROCESSING = Preprocessing(height=5, width=4, scale=255.0, mean=(0.4914, 0.4822, 0.4465), std=(0.247, 0.243, 0.2))


@given(
    images=st.integers(0, 4),
    scale=st.sampled_from([1.0, 255.0]),
    mean=st.tuples(*[st.floats(0, 1)] * 3),
    std=st.tuples(*[st.floats(0.01, 2)] * 3),
)
@settings(deadline=None)
def test_rows_are_the_stated_formula_within_rounding(
    images: int, scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    pixels = np.random.default_rng(images).integers(0, 256, (images, 5, 4, 3), dtype=np.uint8)
    rows = normalizer(Preprocessing(5, 4, scale, mean, std)).rows(pixels)
    exact = (pixels / scale - np.array(mean)) / np.array(std)
    assert rows.dtype == np.float32
    assert rows.shape == (images, 3, 5, 4)
    assert rows.flags.c_contiguous
    largest = 255 / scale / min(std) + max(mean) / min(std)
    np.testing.assert_allclose(rows, exact.transpose(0, 3, 1, 2), atol=2e-7 * largest)


def test_there_is_room_for_images_of_the_models_size() -> None:
    normalize = normalizer(PREPROCESSING)
    assert normalize.size == (4, 5)
    assert normalize.empty(7).shape == (7, 5, 4, 3)
    assert normalize.empty(7).dtype == np.uint8


def test_the_same_numbers_give_the_same_normalizer() -> None:
    again = Preprocessing(5, 4, 255.0, (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.2))
    assert normalizer(again) is normalizer(PREPROCESSING)
