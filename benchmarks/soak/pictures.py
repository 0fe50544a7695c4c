"""The pictures that the soak has classified: what is sent of each, and what the idle server says that it shows."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from convserve_proto import vision_pb2
from PIL import Image

SIDE = 32
CLASSIFY = "/convserve.v1.ImageClassifier/Classify"
_FORMATS = ("", "PNG", "JPEG")


@dataclass(frozen=True)
class Known:
    """A picture, and its class as the server told it when nobody else called."""

    image: bytes
    """A serialized vision_pb2.Image."""
    label: str
    probability: float


def images(count: int) -> list[bytes]:
    """Serialized images that look different from each other: raw pixels, PNG files and JPEG files in turn."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 4, 4, 3), np.uint8)
    return [_image(np.kron(c, np.ones((8, 8, 1), np.uint8)), _FORMATS[n % len(_FORMATS)]) for n, c in enumerate(coarse)]


def unreadable() -> list[bytes]:
    """Serialized images that no server can read: half a PNG, half a JPEG, noise, nothing."""
    whole = [vision_pb2.Image.FromString(image).encoded for image in images(3)[1:]]
    noise = np.random.default_rng(1).bytes(500)
    return [vision_pb2.Image(encoded=b).SerializeToString() for b in (*(w[: len(w) // 2] for w in whole), noise, b"")]


def classify_request(serialized: Iterable[bytes]) -> bytes:
    """Their classes, the best one each."""
    parsed = [vision_pb2.Image.FromString(image) for image in serialized]
    return vision_pb2.ClassifyRequest(top_k=1, images=parsed).SerializeToString()


def _image(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], form: str) -> bytes:
    if not form:
        raw = vision_pb2.Pixels(height=SIDE, width=SIDE, channels=3, data=pixels.tobytes())
        return vision_pb2.Image(pixels=raw).SerializeToString()
    return vision_pb2.Image(encoded=encoded(pixels, form)).SerializeToString()


def encoded(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], form: str) -> bytes:
    """The bytes of a picture file: ``pixels`` are [height, width, 3], or [height, width] for grey."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()
