"""SimpleCNN computes what it says, and the network that is trained folds into it without a change."""

from __future__ import annotations

import pytest
import torch
from convserve_export.network import SimpleCNN
from convserve_export.training import Recipe, TrainingNetwork, augment, learning_rate


def test_the_submodules_have_the_names_that_existing_state_dicts_use() -> None:
    names = [n for n, _ in SimpleCNN().named_children()]
    assert names == ["conv1", "conv2", "conv3", "pool", "fc1", "dropout", "fc2"]


@pytest.mark.parametrize("rows", [1, 5])
def test_images_become_logits(rows: int) -> None:
    assert SimpleCNN(7)(torch.zeros(rows, 3, 32, 32)).shape == (rows, 7)


def test_folding_the_normalizations_gives_the_same_outputs_as_the_training_network_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    network = TrainingNetwork(10)
    with torch.no_grad():
        for norm in (network.norm1, network.norm2, network.norm3, network.norm4):
            norm.weight.uniform_(-2, 2)  # negative scales too: folding before pooling would break them
            norm.bias.uniform_(-1, 1)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.1, 3)
        network.eval()
        x = torch.randn(16, 3, 32, 32)
        torch.testing.assert_close(network.folded()(x), network(x), rtol=1e-4, atol=1e-4)


def test_augmentation_shifts_and_flips_pictures_and_repeats_with_its_seed() -> None:
    images = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)
    first = augment(images, torch.Generator().manual_seed(1))
    again = augment(images, torch.Generator().manual_seed(1))
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    inner = images[:, :, 10:20, 10:20]
    for picture, centre in zip(first, inner, strict=True):
        patches = picture.unfold(1, 10, 1).unfold(2, 10, 1).permute(1, 2, 0, 3, 4).reshape(-1, 3, 10, 10)
        assert any(torch.equal(p, c) for p in patches for c in (centre, centre.flip(2)))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    recipe = Recipe(warm_up=0.2, peak_learning_rate=0.5)
    assert learning_rate(recipe, 0.0) == 0.0
    assert learning_rate(recipe, 0.2) == 0.5
    assert learning_rate(recipe, 0.6) == pytest.approx(0.25)
    assert learning_rate(recipe, 1.0) == pytest.approx(0.0)
