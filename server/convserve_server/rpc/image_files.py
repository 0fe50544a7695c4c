"""Picture files to pixels: recognises the five formats, and turns any of their colour modes into upright RGB.

A file is hostile until it is decoded. Its format is told by its first bytes and only that format's decoder is
tried; its size is read from its header and shown to the caller, who may refuse it, before anything is decoded.

What every picture becomes: 8-bit RGB, turned upright by its EXIF orientation; transparency over white, as on the light
pages that most transparent pictures are made for; 16-bit grey divided by 257, so that white stays white; the
first frame of an animation. Colour profiles are ignored, as they are in most training sets.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from convserve_server.errors import InvalidRequest
from convserve_server.rpc.decode_cost import decode_seconds

CheckSize = Callable[[int, int], None]
"""Takes width and height in pixels, once, and raises for a picture that must not be decoded."""
CheckTime = Callable[[float], None]
"""Takes the seconds that a picture will take to decode, and raises where that is too long."""

# The decoders are called directly, not by Image.open, which would try others and has a size limit of its own.
_Decoder = Callable[[io.BytesIO], ImageFile.ImageFile]
_SIGNATURES: tuple[tuple[bytes, str, _Decoder], ...] = (
    (b"\xff\xd8\xff", "JPEG", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", "PNG", PngImagePlugin.PngImageFile),
    (b"RIFF", "WebP", WebPImagePlugin.WebPImageFile),
    (b"GIF87a", "GIF", GifImagePlugin.GifImageFile),
    (b"GIF89a", "GIF", GifImagePlugin.GifImageFile),
    (b"BM", "BMP", BmpImagePlugin.BmpImageFile),
)

MOST_SIDE = 65_535
"""Pixels of width or height, as JPEG and GIF can have. Pillow's time for a row grows with its square: a WebP file of
400 bytes that states a row of 8 million pixels takes ten seconds."""

# The filter still halves what JPEG's own reduction leaves (at least three times the size asked for), so that the
# coarse reduction is not seen.
_JPEG_REDUCING_GAP = 3

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = 5
"""Orientations from this one on turn the picture by a quarter."""
_ORIENTATION_TAG = 0x0112
_SHORT = 3


def ignore_pillow_warnings() -> None:
    """Keep Pillow's warnings about odd files out of the log: any caller can cause them and nobody can act on them."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def read_file(
    data: bytes,
    name: str,
    check_size: CheckSize,
    size: tuple[int, int] | None = None,
    check_time: CheckTime | None = None,
) -> Image.Image:
    """The picture in a file's bytes: mode RGB, upright, resized to ``size`` (width, height) where that is given.

    ``name`` is what errors call the picture. Raises InvalidRequest for bytes that are no whole picture in one of the
    five formats, and whatever ``check_size`` and ``check_time`` raise.
    """
    file_format, decoder = _recognise(data, name)
    stated = _webp_size(data, name) if file_format == "WebP" else None
    if stated:
        # Pillow takes memory for the whole canvas when it opens a WebP file.
        _check_sides(name, *stated)
        check_size(*stated)
    try:
        picture = decoder(io.BytesIO(data))
    # Pillow's decoders raise nearly every kind of exception on damaged files, here and below.
    except Exception as error:
        raise _unreadable(name, file_format, error) from error
    if picture.size != stated:
        _check_sides(name, *picture.size)
        check_size(*picture.size)
    if check_time is not None:
        check_time(decode_seconds(file_format, data, *picture.size))
    try:
        return _upright(picture, size)
    except Exception as error:
        raise _unreadable(name, file_format, error) from error


def resized(
    picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The picture, or the part of it in ``box``, at ``size``; the same object where it has that size already.

    The filter is the antialiased triangle (Pillow's BILINEAR): each new pixel is the weighted mean of all pixels that
    it covers. It does not ring at edges as bicubic and Lanczos do, and is what most training pipelines use.
    """
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.BILINEAR, box=box)


def to_rgb(picture: Image.Image) -> Image.Image:
    """The picture in mode RGB, over white where it is transparent; the same object where it is plain RGB already."""
    if picture.mode.startswith("I"):
        return _grey16_to_rgb(picture)
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    paper = Image.new("RGB", picture.size, "white")
    paper.paste(layer, mask=layer)
    return paper


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that an EXIF block states; 1 (upright) where it states none that can be read.

    Read here and not by Pillow, which reads all of the block and is loud about blocks that are slightly wrong.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and value in _UPRIGHT else 1
    except struct.error:
        pass
    return 1


def _recognise(data: bytes, name: str) -> tuple[str, _Decoder]:
    if not data:
        raise InvalidRequest(f"{name} is empty: send the bytes of a JPEG, PNG, WebP, BMP or GIF file")
    for signature, file_format, decoder in _SIGNATURES:
        if data.startswith(signature) and (file_format != "WebP" or data[8:12] == b"WEBP"):
            return file_format, decoder
    start = data[:8].hex(" ")
    raise InvalidRequest(f"{name} is not a JPEG, PNG, WebP, BMP or GIF file: it starts with the bytes {start}")


def _check_sides(name: str, width: int, height: int) -> None:
    if max(width, height) > MOST_SIDE:
        raise InvalidRequest(
            f"{name} is {width:,} x {height:,} pixels; a side may have at most {MOST_SIDE:,}: send it smaller"
        )


def _webp_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height by the header of a WebP file (RFC 9649), which comes in three kinds."""
    kind, header = data[12:16], data[20:30]
    if len(header) == 10:
        if kind == b"VP8X":  # three flag and reserved bytes, then each side less 1 in 24 bits
            return 1 + int.from_bytes(header[4:7], "little"), 1 + int.from_bytes(header[7:10], "little")
        if kind == b"VP8L":  # a signature byte, then each side less 1 in 14 bits
            bits = int.from_bytes(header[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if kind == b"VP8 ":  # a frame tag and a start code, then each side in 14 bits below 2 bits of scale
            width, height = struct.unpack_from("<HH", header, 6)
            return width & 0x3FFF, height & 0x3FFF
    raise InvalidRequest(f"{name} starts as a WebP file but has no whole header: send the complete file")


def _upright(picture: ImageFile.ImageFile, size: tuple[int, int] | None) -> Image.Image:
    """Decoded, in RGB, resized, and turned: in this order, so that the costly steps see few pixels."""
    orientation = exif_orientation(picture.info.get("exif") or b"")
    box = None
    if size is not None:
        if orientation >= _SWAPS_SIDES:
            size = size[1], size[0]
        if picture.format == "JPEG" and picture.size != size:
            # Let the decoder leave out detail that the filter would average away; box is what it leaves, in fractions.
            drafted = picture.draft(None, (size[0] * _JPEG_REDUCING_GAP, size[1] * _JPEG_REDUCING_GAP))
            box = drafted[1] if drafted else None
    picture.load()
    upright = to_rgb(picture)
    if size is not None:
        upright = resized(upright, size, box)
    turn = _UPRIGHT.get(orientation)
    return upright if turn is None else upright.transpose(turn)


def _grey16_to_rgb(picture: Image.Image) -> Image.Image:
    deep = np.asarray(picture).astype(np.uint32)
    shallow = ((deep + 128) // 257).astype(np.uint8)
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        shallow[deep == transparent] = 255
    return Image.fromarray(shallow).convert("RGB")


def _unreadable(name: str, file_format: str, error: Exception) -> InvalidRequest:
    if isinstance(error, Image.DecompressionBombError):
        return InvalidRequest(f"{name} is a {file_format} file with a frame far larger than it states")
    if "truncated" in str(error).lower():
        return InvalidRequest(f"{name} is a {file_format} file that ends too early: send the complete file")
    return InvalidRequest(f"{name} starts as a {file_format} file but cannot be decoded: it is damaged or incomplete")
