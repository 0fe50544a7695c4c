"""Images as they come in a request to pixels, within limits on how many pixels a request may have decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from convserve_proto import vision_pb2
from numpy.typing import NDArray
from PIL import Image

from convserve_server.errors import InvalidRequest, TooLarge
from convserve_server.rpc.image_files import read_file, resized, to_rgb

Pixels = NDArray[np.uint8]
"""[height, width, 3], RGB."""

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_MEGA = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """How much a request may ask to have decoded. Counted by what headers state, before anything is decoded."""

    max_pixels: int = 50 * _MEGA
    """Pixels of one image; 3 to 7 bytes of memory each while it is decoded."""
    max_request_pixels: int = 200 * _MEGA
    """Pixels of all images of one request."""
    max_images: int = 1024
    """Images of one request."""
    max_decode_time: float = 10.0
    """Seconds that decoding the files of one request may take, by an estimate from above."""


class PixelBudget:
    """What one request may still have decoded."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._left = limits.max_request_pixels
        self._seconds_left = limits.max_decode_time

    def spend(self, width: int, height: int, name: str) -> None:
        """Take an image's pixels out of the budget.

        Raises InvalidRequest for an image without pixels or with more than any image may have, and TooLarge for one
        that only the images before it leave no room for.
        """
        pixels = width * height
        if pixels <= 0:
            raise InvalidRequest(f"{name} is {width} x {height}: it has no pixels")
        if pixels > self._limits.max_pixels:
            raise InvalidRequest(
                f"{name} has {width} x {height} = {pixels:,} pixels; at most {self._limits.max_pixels:,} are accepted:"
                " send it smaller"
            )
        if pixels > self._left:
            raise TooLarge(
                f"{name} has {pixels:,} pixels and takes this request over {self._limits.max_request_pixels:,} in all:"
                " send it in another request"
            )
        self._left -= pixels

    def spend_time(self, seconds: float, name: str) -> None:
        """Take the time that a file takes to decode out of the budget.

        Raises InvalidRequest for a file that takes longer than a request may, and TooLarge for one that only those
        before it leave no time for.
        """
        most = self._limits.max_decode_time
        if seconds > most:
            raise InvalidRequest(
                f"{name} may take {seconds:.1f} s to decode; at most {most:g} s are accepted: send it smaller,"
                " and a JPEG with fewer scans"
            )
        if seconds > self._seconds_left:
            raise TooLarge(
                f"{name} may take {seconds:.1f} s to decode and takes this request over {most:g} s in all:"
                " send it in another request"
            )
        self._seconds_left -= seconds


def decode(image: vision_pb2.Image, name: str, budget: PixelBudget, size: tuple[int, int] | None = None) -> Pixels:
    """The pixels of an image, ``[height, width, 3]`` uint8 RGB, resized to ``size`` (width, height) where given.

    An image that has that size already comes out with the pixels that went in. ``name`` is what errors call the image.
    Raises InvalidRequest where it cannot be read or has too many pixels, TooLarge where the budget is spent.
    """
    source = image.WhichOneof("source")
    if source == "encoded":
        picture = read_file(
            image.encoded,
            name,
            lambda width, height: budget.spend(width, height, name),
            size,
            lambda seconds: budget.spend_time(seconds, name),
        )
        return np.asarray(picture)
    if source == "pixels":
        return _decode_pixels(image.pixels, name, budget, size)
    raise InvalidRequest(f"{name} has neither encoded bytes nor pixels: set one of them")


def _decode_pixels(pixels: vision_pb2.Pixels, name: str, budget: PixelBudget, size: tuple[int, int] | None) -> Pixels:
    width, height, channels, data = pixels.width, pixels.height, pixels.channels, pixels.data
    if channels not in _MODES:
        raise InvalidRequest(f"{name} has {channels} channels; raw pixels have 1 (grey), 3 (RGB) or 4 (RGB and alpha)")
    budget.spend(width, height, name)
    expected = height * width * channels
    if len(data) != expected:
        raise InvalidRequest(
            f"{name} has {len(data):,} bytes of pixels; height {height} x width {width} x {channels} channels"
            f" needs {expected:,}"
        )
    if channels == 3 and size in (None, (width, height)):
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)
    mode = _MODES[channels]
    picture = to_rgb(Image.frombuffer(mode, (width, height), data, "raw", mode, 0, 1))
    return np.asarray(picture if size is None else resized(picture, size))
