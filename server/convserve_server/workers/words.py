"""What a worker and its parent say to each other, through a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Order(Enum):
    """From the parent."""

    SERVE = "serve"
    STOP = "stop"


@dataclass(frozen=True)
class Loaded:
    """From a worker: its models are loaded, and it waits for the order to serve."""


@dataclass(frozen=True)
class Serving:
    """From a worker: it is ready."""

    metrics_port: int | None = None
    """Where it tells its metrics, on 127.0.0.1."""


@dataclass(frozen=True)
class CannotStart:
    """From a worker that ends now."""

    reason: str


Report = Loaded | Serving | CannotStart
