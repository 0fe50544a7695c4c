"""Small pictures of every kind that the server reads, made here."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

_EXIF_TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def pictures() -> Iterator[bytes]:
    """Files of 7 x 5 pixels: formats, colour modes, progressive and animated ones, transparency, EXIF."""
    numbers = np.random.default_rng(0)
    color = Image.fromarray(numbers.integers(0, 256, (5, 7, 3), np.uint8))
    clear = Image.fromarray(numbers.integers(0, 256, (5, 7, 4), np.uint8))
    grey = color.convert("L")
    palette = color.quantize(8)
    yield _file(color, "PNG")
    yield _file(color, "PNG", exif=_EXIF_TURNED)
    yield _file(clear, "PNG")
    yield _file(palette, "PNG", transparency=3)
    yield _file(grey.convert("1"), "PNG")
    yield _file(grey.convert("LA"), "PNG")
    yield _file(Image.fromarray(numbers.integers(0, 65536, (5, 7), np.uint16)), "PNG")
    yield _file(color, "JPEG")
    yield _file(color, "JPEG", progressive=True, exif=_EXIF_TURNED)
    yield _file(grey, "JPEG")
    yield _file(color.convert("CMYK"), "JPEG")
    yield _file(color, "WEBP")
    yield _file(clear, "WEBP", lossless=True)
    yield _file(color, "WEBP", exif=_EXIF_TURNED)
    yield _file(color, "WEBP", save_all=True, append_images=[color.rotate(90)])
    yield _file(palette, "GIF", transparency=1)
    yield _file(palette, "GIF", save_all=True, append_images=[color.rotate(180).quantize(8)])
    yield _file(color, "BMP")
    yield _file(palette, "BMP")
    yield _file(clear, "BMP")


def _file(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
