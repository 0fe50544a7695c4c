"""How long a picture file will take to decode, at most: told from its bytes, before anything is decoded.

A decoder that runs cannot be stopped, so the time is bounded before. For most formats it grows with the pixels. A
progressive JPEG is the exception: it comes in scans, each of which goes over all of the picture, and a few bytes are
enough for one, so that a small file could keep a CPU busy for minutes.
"""

from __future__ import annotations

_PER_PIXEL = {"JPEG": 25e-9, "PNG": 45e-9, "WebP": 45e-9, "GIF": 30e-9, "BMP": 10e-9}
"""Seconds, of the most detailed pictures, rounded up from what an AMD EPYC took."""
_PER_PIXEL_AND_SCAN = 3e-9
_START_OF_SCAN = b"\xff\xda"


def decode_seconds(file_format: str, data: bytes, width: int, height: int) -> float:
    """About how many seconds of a CPU the picture takes at most."""
    per_pixel = _PER_PIXEL[file_format]
    if file_format == "JPEG":
        per_pixel += _PER_PIXEL_AND_SCAN * scans(data)
    return width * height * per_pixel


def scans(data: bytes) -> int:
    """The scans of a JPEG file, those of a thumbnail in it included: no other bytes of its scans look like that."""
    return data.count(_START_OF_SCAN)
