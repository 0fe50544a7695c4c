"""Reading trained weights and class labels, from files that may be missing, broken, hostile or of another network."""

from __future__ import annotations

import importlib.resources
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from convserve_export.errors import BadInput
from convserve_export.network import SimpleCNN
from convserve_export.wrapped_state import Weights, weights_of

SHIPPED = "simple_cnn_cifar10"
SHIPPED_FOLDER = importlib.resources.files("convserve_export") / "checkpoints"
SHIPPED_LABELS = SHIPPED_FOLDER / f"{SHIPPED}.labels.txt"
RANDOM = "random"
DEFAULT_CLASSES = 10
MOST_NAMED = 6
"""So many keys are named in an error; a wrong network may have thousands."""


@dataclass(frozen=True)
class Checkpoint:
    """A network with its weights, and the names of its classes."""

    network: SimpleCNN
    labels: tuple[str, ...]
    source: str
    """For people: where the weights come from."""


def load_checkpoint(
    *, source: str | None = None, labels: Path | None = None, num_classes: int | None = None, seed: int = 0
) -> Checkpoint:
    """The network from ``source``: a file, ``"random"`` (untrained, seeded by ``seed``), or None for the shipped one.

    Labels come from the file ``labels``, else from ``NAME.labels.txt`` beside the checkpoint; a network without any
    gets class_0, class_1 and so on (a random one with 10 classes: the shipped ones).

    Raises BadInput where a file cannot be used, or where weights, labels and ``num_classes`` disagree.
    """
    given = read_labels(labels) if labels is not None else None
    if source == RANDOM:
        network, where, beside = _random(num_classes or (len(given) if given else DEFAULT_CLASSES), seed)
    elif source is None:
        network, where, beside = _shipped()
    else:
        path = Path(source)
        weights = read_state(path).fitting(expected_names())
        network, where = build(weights.tensors, source), weights.described(source)
        beside = path.with_name(f"{path.stem}.labels.txt")
    classes = network.fc2.out_features
    if num_classes is not None and num_classes != classes:
        raise BadInput(f"--num-classes is {num_classes}, but the network of {where} has {classes} classes")
    if given is not None:
        names, origin = given, str(labels)
    elif beside is not None and beside.is_file():
        names, origin = read_labels(beside), beside.name
    else:
        names, origin = tuple(f"class_{i}" for i in range(classes)), "made up"
    if len(names) != classes:
        raise BadInput(
            f"{len(names)} labels ({origin}) for {classes} classes ({where}); "
            "give a file with one label a line, as many as there are classes, by --labels"
        )
    return Checkpoint(network, names, where)


def _shipped() -> tuple[SimpleCNN, str, Traversable]:
    file = SHIPPED_FOLDER / f"{SHIPPED}.safetensors"
    if not file.is_file():
        raise BadInput(
            "this installation has no shipped checkpoint; give one by --checkpoint FILE, or --checkpoint random"
        )
    weights = parse_safetensors(file.read_bytes(), file.name).tensors
    return build(weights, file.name), f"{file.name}, as shipped", SHIPPED_LABELS


def _random(classes: int, seed: int) -> tuple[SimpleCNN, str, Traversable | None]:
    beside = SHIPPED_LABELS if classes == DEFAULT_CLASSES else None
    return random_network(classes, seed), f"random weights, seed {seed}", beside


def random_network(num_classes: int, seed: int) -> SimpleCNN:
    """Untrained weights; the same for the same seed. Leaves torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SimpleCNN(num_classes).eval()


def expected_names() -> list[str]:
    """The names of SimpleCNN's weights."""
    with torch.device("meta"):
        return list(SimpleCNN(DEFAULT_CLASSES).state_dict())


def read_state(path: Path) -> Weights:
    """The weights in ``path``: ``.safetensors``, or ``.pt``/``.pth`` by ``torch.save(model.state_dict(), FILE)``.

    A dict of torch.save that has the state dict in one of its entries does, too. Never runs code from the file. Raises
    BadInput.
    """
    if not path.exists():
        raise BadInput(f"there is no checkpoint {path}")
    if not path.is_file():
        raise BadInput(f"the checkpoint {path} is not a file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"the checkpoint {path} cannot be read: {error.strerror}") from error
    if not data:
        raise BadInput(f"the checkpoint {path} is empty")
    if path.suffix == ".safetensors":
        return parse_safetensors(data, str(path))
    if path.suffix in (".pt", ".pth"):
        return parse_torch(data, str(path))
    raise BadInput(f"the checkpoint {path} ends in '{path.suffix}'; expected .safetensors, .pt or .pth")


def parse_safetensors(data: bytes, name: str) -> Weights:
    """Weights from the bytes of a safetensors file; raises BadInput."""
    try:
        return Weights(safetensors.torch.load(data))
    except SafetensorError as error:
        raise BadInput(f"the checkpoint {name} is damaged, or no safetensors file: {error}") from error


def parse_torch(data: bytes, name: str) -> Weights:
    """Weights from the bytes of a file of torch.save; raises BadInput. Pickled code is refused, not run."""
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"the checkpoint {name} holds objects or code beside tensors, which are never loaded, or it is damaged; "
            "save it by torch.save(model.state_dict(), FILE)"
        ) from error
    # Damaged bytes make torch raise almost anything: EOFError, IndexError, KeyError, RuntimeError, UnicodeDecodeError.
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0].partition(". ")[0]
        reason = first_line or type(error).__name__
        raise BadInput(f"the checkpoint {name} is damaged, or no file of torch.save: {reason}") from error
    return weights_of(state, name)


def build(state: Mapping[str, Tensor], name: str) -> SimpleCNN:
    """SimpleCNN with these weights, in evaluation mode; the number of classes is read from fc2.

    Raises BadInput that names what is missing, unexpected, or of another shape or datatype.
    """
    last = state.get("fc2.weight")
    classes = last.shape[0] if last is not None and last.dim() == 2 and last.shape[0] > 0 else DEFAULT_CLASSES
    # On the meta device a network has shapes but no numbers: a wrong file costs nothing.
    with torch.device("meta"):
        network = SimpleCNN(classes)
    expected = network.state_dict()
    shared = [k for k in expected if k in state]
    faults = [
        _faults("missing", [k for k in expected if k not in state]),
        _faults("unexpected", [k for k in state if k not in expected]),
        _faults(
            "of another shape",
            [
                f"{k} is {_shape(state[k])}, not {_shape(expected[k])}"
                for k in shared
                if state[k].shape != expected[k].shape
            ],
        ),
        _faults(
            "of another datatype",
            [f"{k} is {_datatype(state[k])}, not float32" for k in shared if _datatype(state[k]) != "float32"],
        ),
    ]
    if any(faults):
        raise BadInput(f"the checkpoint {name} is not one of SimpleCNN: {'; '.join(f for f in faults if f)}")
    network.load_state_dict({k: state[k].contiguous() for k in expected}, assign=True)
    return network.requires_grad_(True).eval()


def read_labels(file: Traversable) -> tuple[str, ...]:
    """One label a line, in UTF-8. Raises BadInput where there is none, a line is blank, or the file cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except OSError as error:
        raise BadInput(f"the labels {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"the labels {file} are not UTF-8 text: {error}") from error
    names = tuple(line.strip() for line in lines)
    if not names:
        raise BadInput(f"the labels {file} are empty; expected one label a line")
    if "" in names:
        raise BadInput(f"line {names.index('') + 1} of the labels {file} is blank; expected one label a line")
    return names


def _faults(kind: str, entries: list[str]) -> str:
    if not entries:
        return ""
    more = f" and {len(entries) - MOST_NAMED} more" if len(entries) > MOST_NAMED else ""
    return f"{kind}: {', '.join(entries[:MOST_NAMED])}{more}"


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))


def _datatype(tensor: Tensor) -> str:
    """Such as "float32"; where the numbers are not stored plainly, also how, such as "sparse_coo float32"."""
    stored = "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
    name = str(tensor.dtype).removeprefix("torch.")
    return name if stored == "strided" else f"{stored} {name}"
