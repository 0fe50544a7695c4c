"""Pictures inside of an HTML page: PNG files as data URIs, enlarged by the browser without smoothing."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from convserve_export.cases import Array


def picture(pixels: Array, *, caption: str, size: int = 72) -> str:
    """A figure of uint8 pixels ``[height, width, 3]`` or ``[height, width]``."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    # A caption may have lines.
    lines = "<br>".join(escape(line) for line in caption.split("\n"))
    return (
        f'<figure><img src="data:image/png;base64,{data}" width="{size}" height="{size}" alt="{escape(caption)}">'
        f"<figcaption>{lines}</figcaption></figure>"
    )


def tile(kernel: Array) -> Array:
    """A kernel ``[height, width]`` or ``[3, height, width]`` as pixels: zero is the middle grey."""
    largest = float(np.abs(kernel).max()) or 1.0
    scaled = np.round(kernel / largest * 127 + 128).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(scaled.transpose(1, 2, 0)) if scaled.ndim == 3 else scaled
