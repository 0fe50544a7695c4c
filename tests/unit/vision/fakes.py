"""Models that compute with numpy, and calls that remember how they were answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from convserve_server.calls import Code, Notes
from convserve_server.engine.model import (
    Answer,
    Array,
    Description,
    Model,
    Preprocessing,
    QueuePolicy,
    Reply,
    Submitter,
    TensorSpec,
)
from convserve_server.errors import ModelNotFound, ServerError
from numpy.lib.stride_tricks import sliding_window_view


class FakeCall:
    """A call that remembers its answers."""

    def __init__(self, deadline: float = math.inf) -> None:
        self.deadline = deadline
        self.metadata: Sequence[tuple[str, str | bytes]] = ()
        self.peer = "ipv4:127.0.0.1:1"
        self.identities: tuple[bytes, ...] = ()
        self.notes: Notes | None = None
        self.payloads: list[bytes] = []
        self.failures: list[tuple[Code, str]] = []
        self.gone = False

    def abandoned(self) -> bool:
        return self.gone

    def await_room(self) -> bool:
        return False

    def reply(self, payload: bytes) -> None:
        self.payloads.append(payload)

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        self.failures.append((code, message))

    def lead(self, work: Callable[[int | None], bool], runs: int = 1) -> None:
        work(None)


class FakeModel(Model):
    """Answers in lead, as a real one does, with what ``compute`` makes of the inputs."""

    def __init__(self, description: Description, compute: Callable[..., Array | ServerError]) -> None:
        self.description, self.compute, self.provider = description, compute, "numpy"
        self.queue_policy = QueuePolicy()
        self.refuse_from: int | None = None
        """Which submission, counted from 0, is the first to be refused."""
        self.refusal = ServerError()
        self.submitted: list[tuple[Array, ...]] = []
        self.waiting: list[tuple[tuple[Array, ...], Reply]] = []

    def submit(self, inputs: tuple[Array, ...], waiter: Submitter, reply: Reply) -> int:
        if self.refuse_from is not None and len(self.submitted) >= self.refuse_from:
            raise self.refusal
        self.submitted.append(inputs)
        self.waiting.append((inputs, reply))
        return 1

    def prioritize(self) -> None:
        raise AssertionError("nothing here is urgent")

    def lead(self, batches: int | None = None) -> bool:
        while self.waiting:
            inputs, reply = self.waiting.pop(0)
            output = self.compute(*inputs)
            reply(output if isinstance(output, ServerError) else Answer((output,), 0.25, 0.5))
        return False


class FakeModels:
    """Models by name."""

    def __init__(self, *models: FakeModel) -> None:
        self.models = {m.description.name: m for m in models}

    def find(self, name: str, version: str = "") -> Model:
        if name not in self.models:
            raise ModelNotFound(f"there is no model '{name}'")
        return self.models[name]

    def with_task(self, task: str) -> list[str]:
        return sorted(n for n, m in self.models.items() if m.description.task == task)


def slide(planes: Array, kernel: Array) -> Array:
    """Cross-correlation at every position where the kernel lies inside, in float64 and rounded once."""
    windows = sliding_window_view(planes.astype(np.float64), kernel.shape, axis=(1, 2))
    # What does not fit float32 becomes infinite, as on a device.
    with np.errstate(over="ignore"):
        response: Array = np.einsum("cyxij,ij->cyx", windows, kernel.astype(np.float64)).astype(np.float32)
    return response


def mean_colors(rows: Array) -> Array:
    """Three logits: the mean of each channel."""
    means: Array = rows.mean(axis=(2, 3))
    return means


def classifier_model(name: str = "colors", labels: tuple[str, ...] = ("red", "green", "blue")) -> FakeModel:
    """A classifier for 4 x 2 pictures (width x height) that names the strongest colour."""
    preprocessing = Preprocessing(height=2, width=4, scale=255.0, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    description = Description(
        name=name,
        version=3,
        task="image_classification",
        inputs=(TensorSpec("input", "FP32", (-1, 3, 2, 4)),),
        outputs=(TensorSpec("logits", "FP32", (-1, 3)),),
        batched=True,
        labels=labels,
        preprocessing=preprocessing,
    )
    return FakeModel(description, mean_colors)


def sliding_model() -> FakeModel:
    """The model that Convolve asks."""
    inputs = (TensorSpec("image", "FP32", (-1, -1, -1)), TensorSpec("kernel", "FP32", (-1, -1)))
    outputs = (TensorSpec("response", "FP32", (-1, -1, -1)),)
    return FakeModel(Description("convolve", 1, "convolution", inputs, outputs, batched=False), slide)


def answered(call: FakeCall) -> bytes:
    """The one answer that a call was given."""
    assert (len(call.payloads), call.failures) == (1, [])
    return call.payloads[0]


def refused(call: FakeCall, code: Code) -> str:
    """The sentence that a call was refused with."""
    assert call.payloads == []
    [(actual, sentence)] = call.failures
    assert actual == code, sentence
    return sentence
