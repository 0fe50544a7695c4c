"""State dicts that training code has wrapped: in a dict with other things, or in DataParallel's prefix."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from convserve_export.errors import BadInput

ENTRIES = ("state_dict", "model_state_dict", "model")
"""Where training code usually puts the weights, beside epochs and optimizers."""
PREFIX = "module."
_MOST_NAMED = 6


@dataclass(frozen=True)
class Weights:
    """Names and tensors, and what was taken off to get at them, in words."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()

    def described(self, source: str) -> str:
        """The source with the notes, for people."""
        return f"{source} ({'; '.join(self.notes)})" if self.notes else source

    def fitting(self, expected: Collection[str]) -> Weights:
        """Without the prefix of DataParallel, where all names have it and none of the expected ones does."""
        if not self.tensors or not all(name.startswith(PREFIX) for name in self.tensors):
            return self
        if any(name.startswith(PREFIX) for name in expected):
            return self
        bare = {name.removeprefix(PREFIX): tensor for name, tensor in self.tensors.items()}
        return Weights(bare, (*self.notes, f"without the prefix '{PREFIX}' of its names"))


def weights_of(content: object, name: str) -> Weights:
    """The weights in what torch.save was given. Raises BadInput that names what is there instead."""
    if _is_state(content):
        return Weights({str(key): tensor for key, tensor in content.items()})  # type: ignore[attr-defined]
    if isinstance(content, Mapping):
        found = [entry for entry in ENTRIES if _is_state(content.get(entry)) and content[entry]]
        if len(found) == 1:
            tensors = {str(key): tensor for key, tensor in content[found[0]].items()}
            return Weights(tensors, (f"its entry '{found[0]}'",))
    raise BadInput(
        f"the checkpoint {name} is no state dict (names to tensors), but {_what(content)}; "
        "save it by torch.save(model.state_dict(), FILE)"
    )


def _is_state(content: object) -> bool:
    return isinstance(content, Mapping) and all(isinstance(value, Tensor) for value in content.values())


def _what(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    others = [f"'{key}' ({_kind(value)})" for key, value in content.items() if not isinstance(value, Tensor)]
    more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
    return f"has {', '.join(others[:_MOST_NAMED])}{more}"


def _kind(value: object) -> str:
    return "names to tensors" if _is_state(value) and value else type(value).__name__
