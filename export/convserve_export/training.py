"""Train SimpleCNN from labelled pictures into a checkpoint: seeded, resumable, on the CPU in tens of minutes.

The network is trained with batch normalization behind every layer but the last. In inference a batch
normalization is an affine map per channel, so it is folded into the weights and bias of the layer before
it (Ioffe and Szegedy 2015, section 3.1 with fixed statistics), and what is saved is a plain SimpleCNN.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from convserve_export.errors import BadInput
from convserve_export.network import SimpleCNN
from convserve_export.pictures import Pictures, load_labelled
from convserve_export.preprocessing import normalize

CROP_PADDING = 4


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
        try:
            state = torch.load(path, weights_only=True)
            recipe = state["recipe"]
            if recipe == vars(self.recipe):
                self.network.load_state_dict(state["network"])
                self.average.load_state_dict(state["average"])
                self.optimizer.load_state_dict(state["optimizer"])
                self.epoch = state["epoch"]
        except Exception as error:  # damaged bytes make torch raise almost anything
            raise BadInput(f"{path} is no state of such a training run; remove it to start anew") from error
        if recipe != vars(self.recipe):
            raise BadInput(f"{path} was written with another recipe: {recipe}; remove it to start anew")

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


def train(recipe: Recipe, pictures: Pictures, validation: Pictures, out: Path) -> float:
    """Train, or continue what ``out`` with the suffix ``.state`` holds, and write ``out`` with its labels beside it.

    Returns the validation accuracy of what was written. Raises BadInput where the state is of another run.
    """
    if pictures.classes != validation.classes:
        raise BadInput(f"training has the classes {pictures.classes}, validation has {validation.classes}")
    trainer = Trainer(recipe, pictures, out.with_suffix(".state"))
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
    aside = out.with_suffix(".partial")
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, aside)
    check = SimpleCNN(len(pictures.classes))
    check.load_state_dict(load_file(aside))
    out.with_suffix(".labels.txt").write_text("".join(f"{c}\n" for c in pictures.classes), encoding="utf-8")
    aside.replace(out)
    return accuracy(check, validation)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns 0, or 2 with a sentence on stderr where the input does not fit."""
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
    try:
        print("reading pictures ...", flush=True)
        top1 = train(recipe, load_labelled(options.data), load_labelled(options.validation), options.out)
    except BadInput as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"validation_top1": top1, "recipe": vars(recipe)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
