"""The targets by name. Each is imported when it is asked for, so that a fuzzer can instrument what it loads."""

from __future__ import annotations

from importlib import import_module

from fuzz.target import Target

NAMES = (
    "tensors",
    "infer",
    "images",
    "classify",
    "convolve",
    "calls",
    "services",
    "manifests",
    "configs",
    "tokens",
    "replies",
)


def load(name: str) -> Target:
    """The target of that name."""
    target = import_module(f"fuzz.targets.{name}").TARGET
    assert isinstance(target, Target)
    return target
