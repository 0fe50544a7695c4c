"""What is verified: SimpleCNN on every kind and size of input, the convolution against scipy; what identifies it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from convserve_export.candidate import Candidate
from convserve_export.checkpoint import random_network
from convserve_export.classifier import BATCH_SIZES, classifier
from convserve_export.convolution import SIZES, convolution
from convserve_export.forms import eager
from convserve_export.pictures import shipped_pictures
from scipy.signal import correlate2d


@pytest.fixture(scope="module")
def network() -> Candidate:
    return simple_cnn(seed=0)


def simple_cnn(seed: int) -> Candidate:
    labels = [str(i) for i in range(10)]
    return classifier(name="m", network=random_network(10, seed), labels=labels, pictures=shipped_pictures())


def test_a_classifier_is_verified_on_every_kind_in_every_batch_size_and_never_on_the_one_it_was_traced_with(
    network: Candidate,
) -> None:
    assert {(c.kind, c.rows) for c in network.cases} == {
        (kind, rows) for kind in ("random", "zeros", "extremes", "pictures") for rows in BATCH_SIZES
    }
    assert BATCH_SIZES == (1, 2, 3, 7, 32, 64)
    assert len(network.example[0]) not in BATCH_SIZES
    assert all(c.inputs["input"].shape == (c.rows, 3, 32, 32) for c in network.cases)
    assert all(np.isfinite(c.inputs["input"]).all() for c in network.cases)


@pytest.mark.parametrize("kind", ["random", "pictures"])
def test_the_rows_of_a_batch_all_differ(network: Candidate, kind: str) -> None:
    batch = next(c for c in network.cases if c.kind == kind and c.rows == 64).inputs["input"]
    assert len({row.tobytes() for row in batch}) == 64


def test_the_convolution_is_verified_at_sizes_other_than_its_example_and_with_any_kind_of_kernel() -> None:
    candidate = convolution()
    image, kernel = (t.shape for t in candidate.example)
    assert all(image != size[:3] and kernel != size[3:] for size in SIZES)
    assert {size[0] for size in SIZES} >= {1, 3}
    kernels = {size[3:] for size in SIZES}
    assert (1, 1) in kernels
    assert any(h % 2 == 0 and w % 2 == 0 for h, w in kernels)
    assert any((h, w) == size[1:3] != (1, 1) for size in SIZES for h, w in [size[3:]])


def test_the_convolution_is_the_valid_cross_correlation_of_each_channel() -> None:
    form = eager(convolution())
    for case in convolution().cases:
        image, kernel = case.inputs["image"], case.inputs["kernel"]
        expected = np.stack([correlate2d(channel, kernel, mode="valid") for channel in image.astype(np.float64)])
        got = form.run(case.inputs)["response"]
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


def test_a_vertical_sobel_kernel_on_1_to_25_gives_8_everywhere() -> None:
    image = torch.arange(1.0, 26.0).reshape(1, 5, 5).numpy()
    kernel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    form = eager(convolution())
    assert (form.run({"image": image, "kernel": kernel})["response"] == np.full((1, 3, 3), 8)).all()
    flipped = kernel[::-1, ::-1].copy()
    assert (form.run({"image": image, "kernel": flipped})["response"] == np.full((1, 3, 3), -8)).all()


def test_the_fingerprint_is_the_same_for_the_same_network_and_changes_with_everything_that_matters(
    network: Candidate,
) -> None:
    assert simple_cnn(seed=0).fingerprint == network.fingerprint
    others = [
        simple_cnn(seed=1),
        dataclasses.replace(network, labels=(*network.labels[:9], "other")),
        dataclasses.replace(network, outputs=(dataclasses.replace(network.outputs[0], name="scores"),)),
        dataclasses.replace(network, preprocessing=None),
        convolution(),
    ]
    prints = {c.fingerprint for c in others} | {network.fingerprint}
    assert len(prints) == len(others) + 1
    assert dataclasses.replace(network, name="other").fingerprint == network.fingerprint
