"""Pictures in the forms that callers have them: paths, file bytes, PIL images and uint8 arrays, as messages."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from convserve_proto import vision_pb2
from numpy.typing import NDArray

from convserve_client.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

    ImageSource = str | Path | bytes | PilImage | NDArray[np.uint8]
    """A path, the bytes of a picture file, a PIL image, or uint8 [height, width] or [height, width, 1, 3 or 4]."""

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
"""The file names that pictures of the formats that the server reads usually have, in lower case."""

_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


def image_name(source: ImageSource, position: int) -> str:
    """What to call an image in results and errors: its path, or its place in the list, counted from 1."""
    return str(source) if isinstance(source, str | Path) else f"image {position}"


def image_message(source: ImageSource) -> vision_pb2.Image:
    """The message for a picture.

    Raises InputError for what is no picture, and OSError for a file that cannot be read. Files and bytes are sent as
    they are: the server decodes them, and says where it cannot.
    """
    if isinstance(source, str | Path):
        return vision_pb2.Image(encoded=Path(source).read_bytes())
    if isinstance(source, bytes | bytearray | memoryview):
        return vision_pb2.Image(encoded=bytes(source))
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if hasattr(source, "getexif") and hasattr(source, "tobytes"):
        return _from_pil(source)
    raise InputError(
        f"a {type(source).__name__} is not an image: give a path, the bytes of a picture file, a PIL image or a uint8 "
        "array"
    )


def _from_array(array: NDArray[Any]) -> vision_pb2.Image:
    channels = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else 0
    if array.dtype != np.uint8 or channels not in (1, 3, 4) or array.size == 0:
        raise InputError(
            f"an image array is {array.dtype} {list(array.shape)}, but uint8 [height, width] or [height, width, "
            "channels] with 1, 3 or 4 channels is needed"
        )
    height, width = array.shape[:2]
    return vision_pb2.Image(
        pixels=vision_pb2.Pixels(height=height, width=width, channels=channels, data=array.tobytes())
    )


def _from_pil(image: PilImage) -> vision_pb2.Image:
    from PIL import ImageOps

    # The server turns files by their EXIF orientation; an opened file that comes as a PIL image is turned alike.
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _CHANNELS:
        return vision_pb2.Image(
            pixels=vision_pb2.Pixels(
                height=upright.height, width=upright.width, channels=_CHANNELS[upright.mode], data=upright.tobytes()
            )
        )
    if upright.mode == "PA":
        return _from_pil(upright.convert("RGBA"))
    if upright.mode == "I" or upright.mode.startswith("I;16"):
        # By way of I, because Pillow cuts I;16B to 8 bits on the direct way.
        upright = upright.convert("I").convert("I;16")
    elif upright.mode not in ("1", "P", "LA"):
        return _from_pil(upright.convert("RGB"))
    # Palettes, transparency and 16 bits survive in a PNG, and the server has the one reading of them.
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", compress_level=1)
    return vision_pb2.Image(encoded=buffer.getvalue())
