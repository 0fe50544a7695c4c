"""A loaded model: what it is, and the way for rows into its batcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from convserve_server.errors import ServerError

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. ``datatype`` is the protocol's name (FP32); -1 in ``shape`` is an axis of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the input: resize to height x width, over scale, minus mean, over std; RGB, NCHW."""

    height: int
    width: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Description:
    """What an artifact says of itself."""

    name: str
    version: int
    task: str
    """"image_classification", "convolution", or empty."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batched: bool
    """True where axis 0 of every input and output counts independent rows."""
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None
    output_labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Output name to the names of its classes, where they have names."""
    precision: str = ""
    """What it is run in: fp32, fp16 or int8; empty where nothing says so."""
    pixels: TensorSpec | None = None
    """An input that may be sent in place of the usual one: pixels, UINT8 ``[-1, height, width, 3]``, RGB."""


@dataclass(frozen=True, kw_only=True)
class QueuePolicy:
    """What requests may ask of the queue."""

    priority_levels: int = 10
    """1 is the most urgent."""
    default_priority: int = 5
    """The level of requests that bring none, or one that is not there."""
    timeout: float | None = None
    """Seconds that a request may wait which brings no timeout of its own; None is for ever."""
    timeout_override: bool = True
    """Whether a request may bring a timeout of its own."""


class Answer(NamedTuple):
    """What a model computed for one request. (A tuple, because one is made for every request.)"""

    outputs: tuple[Array, ...]
    """In the order of Description.outputs."""
    queue_seconds: float
    """Time between submission and the start of the (first) run."""
    inference_seconds: float
    """Time that the run took; where the rows were in several, from the start of the first to the end of the last."""
    started: float = 0.0
    """When the (first) run started, on the batcher's clock."""
    batch_rows: int = 0
    """Rows that were run together in the largest batch that the request's rows were in."""


class Waiter(Protocol):
    """Who waits for an answer."""

    @property
    def deadline(self) -> float:
        """On the clock of time.monotonic(); infinity where there is none."""

    def abandoned(self) -> bool:
        """True once nobody waits any more."""


class Submitter(Waiter, Protocol):
    """Who submits a request, and waits for the answer."""

    def await_room(self) -> bool:
        """There is no room for the request: wait until another one of the same caller's was answered.

        True says to try again. False, at once, where the caller is not held up for its own requests (only a stream is),
        or has no other: then the request is refused.
        """


Reply = Callable[[Answer | ServerError], None]
"""Called exactly once for each submission, from any thread; it does not block and does not raise."""


class Model(Protocol):
    """A model that is loaded and warmed."""

    description: Description
    provider: str
    """The execution provider that really runs it, such as CPUExecutionProvider."""
    queue_policy: QueuePolicy

    def submit(self, inputs: tuple[Array, ...], waiter: Submitter, reply: Reply) -> int:
        """Put a request into the queue; ``reply`` will be called once. Somebody must lead afterwards.

        Returns in how many runs it will be answered: as many threads may lead at once to some use.

        ``inputs`` are in the order of ``description.inputs`` and fit it (the caller has validated them): for a batched
        model each is ``[rows, ...]`` with the same number of rows, at least one.

        Raises QueueFull when the queue takes no more and the waiter cannot wait for room, TooLarge when there are more
        rows than a request may have; then ``reply`` is not called.
        """

    def prioritize(self) -> None:
        """From now on, take first who is most urgent: a waiter's ``priority``, or the policy's default."""

    def lead(self, batches: int | None = None) -> bool:
        """Run batches until the queue is empty, or at most so many; see Batcher.lead."""


class Models(Protocol):
    """Where models are found."""

    def find(self, name: str, version: str = "") -> Model:
        """The model of that name; "" is the newest version that is ready.

        Raises ModelNotFound, ModelNotReady, or InvalidRequest for a version that is no number.
        """
