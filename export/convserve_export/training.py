"""Train SimpleCNN from labelled pictures into a checkpoint: seeded, resumable, on the CPU in tens of minutes.

The network is trained with batch normalization behind every layer but the last. In inference a batch
normalization is an affine map per channel, so it is folded into the weights and bias of the layer before
it (Ioffe and Szegedy 2015, section 3.1 with fixed statistics), and what is saved is a plain SimpleCNN.
"""

from __future__ import annotations

import argparse
import copy
import io
import itertools
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from convserve_export.network import SimpleCNN

MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
CROP_PADDING = 4


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures in memory: ``images`` uint8 ``[N, 3, 32, 32]``, ``labels`` int64 ``[N]``."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the trained weights, besides the data."""

    epochs: int = 75
    batch_size: int = 256
    peak_learning_rate: float = 0.25
    warm_up: float = 0.2
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    momentum: float = 0.9
    average_step: float = 0.002
    seed: int = 0


class TrainingNetwork(SimpleCNN):
    """SimpleCNN with batch normalization before each ReLU; :meth:`folded` gives the plain network."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.norm1 = nn.BatchNorm2d(32)
        self.norm2 = nn.BatchNorm2d(64)
        self.norm3 = nn.BatchNorm2d(128)
        self.norm4 = nn.BatchNorm1d(512)

    def forward(self, x: Tensor) -> Tensor:
        # Pooling before the ReLU gives the same values (both are monotonic) for a quarter of the work.
        x = F.relu(self.pool(self.norm1(self.conv1(x))))
        x = F.relu(self.pool(self.norm2(self.conv2(x))))
        x = F.relu(self.pool(self.norm3(self.conv3(x))))
        x = self.dropout(F.relu(self.norm4(self.fc1(torch.flatten(x, 1)))))
        return self.fc2(x)  # type: ignore[no-any-return]

    def folded(self) -> SimpleCNN:
        """The equivalent plain network, in evaluation mode."""
        plain = SimpleCNN(self.fc2.out_features)
        plain.load_state_dict({k: v for k, v in self.state_dict().items() if not k.startswith("norm")})
        pairs = (("conv1", self.norm1), ("conv2", self.norm2), ("conv3", self.norm3), ("fc1", self.norm4))
        with torch.no_grad():
            for name, norm in pairs:
                layer = plain.get_submodule(name)
                variance, mean = norm.running_var, norm.running_mean
                assert isinstance(layer, nn.Conv2d | nn.Linear)
                assert layer.bias is not None
                assert variance is not None
                assert mean is not None
                scale = norm.weight / torch.sqrt(variance + norm.eps)
                layer.weight.mul_(scale.reshape(-1, *[1] * (layer.weight.dim() - 1)))
                layer.bias.sub_(mean).mul_(scale).add_(norm.bias)
        return plain.eval()


def load_pictures(path: Path) -> Pictures:
    """Read labelled pictures from ``path``.

    ``path`` is a folder with one subfolder a class (in alphabetical order of their names), or an ``.npz`` file
    with the keys ``bytes`` (encoded pictures end to end), ``offsets`` (N+1), ``labels`` and ``classes``.

    Raises ValueError when there is nothing to read, OSError when a picture cannot be read.
    """
    if path.is_dir():
        classes = tuple(sorted(p.name for p in path.iterdir() if p.is_dir()))
        files = [(f, i) for i, c in enumerate(classes) for f in sorted((path / c).iterdir()) if f.is_file()]
        encoded: Iterator[bytes] = (f.read_bytes() for f, _ in files)
        labels = np.array([i for _, i in files], np.int64)
    else:
        with np.load(path) as archive:
            classes = tuple(str(c) for c in archive["classes"])
            raw, offsets = archive["bytes"].tobytes(), archive["offsets"]
            labels = archive["labels"].astype(np.int64)
        encoded = (raw[a:b] for a, b in itertools.pairwise(offsets))
    if not len(labels):
        raise ValueError(f"{path} holds no labelled pictures; give a folder with one subfolder a class")
    images = np.empty((len(labels), 32, 32, 3), np.uint8)
    for i, data in enumerate(encoded):
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        images[i] = np.asarray(picture if picture.size == (32, 32) else picture.resize((32, 32)))
    return Pictures(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(labels), classes)


def normalize(images: Tensor) -> Tensor:
    """uint8 ``[N, 3, H, W]`` to float32: divided by 255, minus MEAN, over STD, channel by channel."""
    mean = torch.tensor(MEAN).reshape(1, 3, 1, 1)
    std = torch.tensor(STD).reshape(1, 3, 1, 1)
    return (images.float() / 255 - mean) / std


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each picture by up to 4 pixels (mirrored at the border) and flip half of them."""
    n, c, h, w = images.shape
    p = CROP_PADDING
    padded = F.pad(images.float(), (p, p, p, p), mode="reflect").to(torch.uint8)
    top = torch.randint(0, 2 * p + 1, (n, 1), generator=generator)
    left = torch.randint(0, 2 * p + 1, (n, 1), generator=generator)
    flip = torch.randint(0, 2, (n, 1), generator=generator).bool()
    rows = top + torch.arange(h)
    columns = left + torch.arange(w)
    columns = torch.where(flip, columns.flip(1), columns)
    index = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    return padded.flatten(2).gather(2, index.flatten(1)[:, None].expand(n, c, h * w)).reshape(n, c, h, w)


@torch.no_grad()
def accuracy(network: nn.Module, pictures: Pictures, batch_size: int = 500) -> float:
    """Top-1 accuracy, 0 to 1, of ``network`` in evaluation mode."""
    network.eval()
    correct = 0
    for i in range(0, len(pictures.labels), batch_size):
        logits = network(normalize(pictures.images[i : i + batch_size]))
        correct += int((logits.argmax(1) == pictures.labels[i : i + batch_size]).sum())
    return correct / len(pictures.labels)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """One cycle: linear warm-up to the peak, then half a cosine to zero. ``progress`` is 0 to 1."""
    if progress < recipe.warm_up:
        return recipe.peak_learning_rate * progress / recipe.warm_up
    rest = (progress - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.peak_learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


class Trainer:
    """The state of a training run; saved after each epoch, so that a run may be continued."""

    def __init__(self, recipe: Recipe, train: Pictures, state_file: Path | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.train_set, self.state_file = recipe, train, state_file
        self.network = TrainingNetwork(len(train.classes)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network)
        decayed = [p for p in self.network.parameters() if p.dim() > 1]
        free = [p for p in self.network.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.SGD(
            [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}],
            lr=0.1,
            momentum=recipe.momentum,
            nesterov=True,
        )
        self.epoch = 0
        if state_file is not None and state_file.exists():
            self._resume(state_file)

    def _resume(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        if state["recipe"] != vars(self.recipe):
            raise ValueError(f"{path} was written with another recipe: {state['recipe']}; remove it to start anew")
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch = state["epoch"]

    def save(self) -> None:
        if self.state_file is None:
            return
        aside = self.state_file.with_suffix(".partial")
        torch.save(
            {
                "recipe": vars(self.recipe),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "epoch": self.epoch,
            },
            aside,
        )
        aside.replace(self.state_file)

    def run_epoch(self) -> float:
        """One pass over the training pictures; returns the mean loss."""
        recipe, pictures = self.recipe, self.train_set
        # Seeded by the epoch, so that a continued run sees what an unbroken one would have seen.
        torch.manual_seed(recipe.seed * 100_003 + self.epoch)
        generator = torch.Generator().manual_seed(recipe.seed * 100_003 + self.epoch)
        order = torch.randperm(len(pictures.labels), generator=generator)
        steps = max(1, len(order) // recipe.batch_size)
        self.network.train()
        total = 0.0
        for step in range(steps):
            chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            rate = learning_rate(recipe, (self.epoch + step / steps) / recipe.epochs)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            x = normalize(augment(pictures.images[chosen], generator))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = self.network(x.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), pictures.labels[chosen], label_smoothing=recipe.label_smoothing)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self._update_average(self.epoch * steps + step)
            total += loss.item()
        self.epoch += 1
        return total / steps

    @torch.no_grad()
    def _update_average(self, done: int) -> None:
        # A plain mean while the run is young, so that the start does not linger in the average.
        step = max(self.recipe.average_step, 1.0 / (1 + done))
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, step)
            else:
                mean.copy_(value)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m convserve_export.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="training pictures: folder or .npz")
    parser.add_argument("--validation", type=Path, required=True, help="pictures to measure on: folder or .npz")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write (.safetensors)")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--batch-size", type=int, default=Recipe.batch_size)
    parser.add_argument("--peak-learning-rate", type=float, default=Recipe.peak_learning_rate)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    options = parser.parse_args(arguments)
    recipe = Recipe(
        epochs=options.epochs,
        batch_size=options.batch_size,
        peak_learning_rate=options.peak_learning_rate,
        seed=options.seed,
    )
    print("reading pictures ...", flush=True)
    train, validation = load_pictures(options.data), load_pictures(options.validation)
    trainer = Trainer(recipe, train, options.out.with_suffix(".state"))
    while trainer.epoch < recipe.epochs:
        started = time.perf_counter()
        loss = trainer.run_epoch()
        trainer.save()
        seconds = time.perf_counter() - started
        top1 = accuracy(trainer.average.folded(), validation)
        print(
            f"epoch {trainer.epoch:3d}/{recipe.epochs}  loss {loss:.4f}  validation top-1 {top1:.2%}  {seconds:.0f} s",
            flush=True,
        )
    network = trainer.average.folded()
    aside = options.out.with_suffix(".partial")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, aside)
    check = SimpleCNN(len(train.classes))
    check.load_state_dict(load_file(aside))
    result = {"validation_top1": accuracy(check, validation), "recipe": vars(recipe)}
    aside.replace(options.out)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
