"""The README's network of one's own: exported, checked, served, and asked about a picture, by pixels and by values."""

from __future__ import annotations

import sys

import pytest

from .conftest import Place

pytestmark = pytest.mark.timeout(300)


def test_a_network_of_ones_own_is_exported_served_and_called(place: Place) -> None:
    command = "--factory my_network:small_resnet --input-shape 3,32,32 --labels mine.labels.txt"
    place.run(["convserve-export", *command.split(), "--model-name", "mine", "--no-convolve", "--out", "served"])
    with place.serving([sys.executable, "-m", "convserve_server", "--repository", "served"]) as address:
        told = place.run(["convserve", "classify", "cat.jpg", "--server", address])
        assert "cat.jpg" in told
        assert "%" in told
        told = place.run(["convserve", "infer", "mine", "--input", "batch.npy", "--server", address])
        assert "output: float32 [4, 10]" in told
