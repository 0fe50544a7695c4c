"""Parameters are counted by layer, once each, and by formula."""

from __future__ import annotations

import pytest
from convserve_export.network import SimpleCNN, expected_parameters
from convserve_export.parameters import count_module, layers
from torch import nn


@pytest.mark.parametrize(("classes", "total"), [(1, 1_142_849), (10, 1_147_466), (100, 1_193_636)])
def test_the_formula_equals_the_count(classes: int, total: int) -> None:
    assert expected_parameters(classes) == count_module(SimpleCNN(classes)) == total


def test_layers_of_simple_cnn() -> None:
    found = {la.name: (la.kind, la.count) for la in layers(SimpleCNN())}
    assert found == {
        "conv1": ("Conv2d", 896),
        "conv2": ("Conv2d", 18_496),
        "conv3": ("Conv2d", 73_856),
        "fc1": ("Linear", 1_049_088),
        "fc2": ("Linear", 5_130),
    }


def test_frozen_parameters_are_not_trainable() -> None:
    network = SimpleCNN()
    network.conv1.requires_grad_(False)
    assert sum(la.count - la.trainable for la in layers(network)) == 896


def test_a_shared_parameter_counts_once() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    module = nn.Sequential(first, second)
    assert sum(la.count for la in layers(module)) == count_module(module) == 15


def test_a_network_without_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes is 0"):
        SimpleCNN(0)
