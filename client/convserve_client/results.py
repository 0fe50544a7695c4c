"""What the operations answer with: frozen values, free of protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convserve_client.errors import ImageFailed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ServerInfo:
    """What a server says of itself."""

    name: str
    version: str
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class TensorInfo:
    """Name, datatype and shape of an input or output; -1 stands for an axis of any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModelInfo:
    """A served model."""

    name: str
    versions: tuple[str, ...] = ()
    platform: str = ""
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    """Facts beside the protocol's own; convserve's server puts the execution provider here."""
    ready: bool = True
    """False where the server lists the model but cannot answer for it now; the other fields are then empty."""

    @property
    def provider(self) -> str:
        """The execution provider that the server runs the model on; empty where it does not say."""
        return self.properties.get("provider", "")


@dataclass(frozen=True, eq=False)
class InferResult:
    """The outputs of one inference call."""

    outputs: Mapping[str, NDArray[Any]]
    """By name. The arrays lie over the reply's bytes and are read-only: copy one to change it."""
    model_name: str
    model_version: str
    request_id: str = ""
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Classification:
    """One class and how likely it is, from 0 to 1."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class ImageError:
    """Why one image has no classes; ``code`` is the name of a gRPC status code."""

    code: str
    message: str


@dataclass(frozen=True)
class ClassifyResult:
    """The outcome for one image: classes, best first, or the error that says why there are none."""

    name: str
    """The path that was given, or the image's place in the list, such as 'image 3'."""
    classifications: tuple[Classification, ...] = ()
    error: ImageError | None = None
    model_name: str = ""
    """Empty for an image that could not be sent."""
    model_version: str = ""
    queue_seconds: float = 0.0
    """How long the rows of the call that this image went with waited for a run."""
    inference_seconds: float = 0.0
    """How long the model ran for that call."""

    @property
    def best(self) -> Classification:
        """The likeliest class. Raises ImageFailed, with the reason, where the image has none."""
        if self.error is not None:
            raise ImageFailed(f"{self.name}: {self.error.message} ({self.error.code})")
        if not self.classifications:
            raise ImageFailed(f"{self.name}: the model knows no classes")
        return self.classifications[0]


@dataclass(frozen=True, eq=False)
class ConvolveResult:
    """What a kernel answered. Matrices are float32, [planes, rows, columns]; planes is 1, or 3 for per channel."""

    responses: NDArray[np.float32]
    """No planes where values were not asked for."""
    gradient_magnitudes: NDArray[np.float32]
    """No planes where the gradient was not asked for."""
    gradient_directions: NDArray[np.float32]
    """In radians, atan2(y, x); no planes where the gradient was not asked for."""
    kernel: NDArray[np.float32]
    """[rows, columns], before any flip."""
    rows: int
    columns: int
    png: bytes = b""
    """Empty where it was not asked for."""
    model_name: str = ""
    model_version: str = ""
    queue_seconds: float = 0.0
    inference_seconds: float = 0.0
