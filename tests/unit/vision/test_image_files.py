"""Every picture file becomes upright RGB, or one sentence that says what is wrong with it."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from convserve_server.errors import InvalidRequest, TooLarge
from convserve_server.rpc.image_files import exif_orientation, ignore_pillow_warnings, read_file
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

Array = NDArray[Any]

WHITE = (255, 255, 255)
COLORS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
"""Six rows, nine columns."""
# A picture that JPEG keeps almost as it is: colours change slowly.
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[0:200:48j, 0:250:64j], 90), axis=-1).astype(np.uint8)
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "BMP": {}, "WEBP": {"lossless": True}}
LOSSY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}, "GIF": {}}


def encode(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def whole_files() -> dict[str, bytes]:
    noise = Image.fromarray(np.random.default_rng(4).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    progressive = encode(noise, "JPEG", progressive=True)
    files = {name: encode(noise, name) for name in ("JPEG", "PNG", "WEBP", "BMP", "GIF")}
    return files | {"progressive JPEG": progressive, "lossless WEBP": encode(noise, "WEBP", lossless=True)}


WHOLE_FILES = whole_files()


def read(data: bytes, size: tuple[int, int] | None = None) -> Array:
    picture = read_file(data, "the picture", lambda width, height: None, size)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(data)
    assert str(caught.value).startswith("the picture ")
    return str(caught.value)


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_lossless_files_give_back_every_pixel_also_through_a_resize_to_their_own_size(file_format: str) -> None:
    data = encode(Image.fromarray(COLORS), file_format, **LOSSLESS[file_format])
    np.testing.assert_array_equal(read(data), COLORS)
    np.testing.assert_array_equal(read(data, (9, 6)), COLORS)


@pytest.mark.parametrize("file_format", LOSSY)
def test_lossy_files_give_back_nearly_every_pixel(file_format: str) -> None:
    data = encode(Image.fromarray(SMOOTH), file_format, **LOSSY[file_format])
    assert np.abs(read(data).astype(int) - SMOOTH).mean() < (8 if file_format == "GIF" else 3)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_by_its_exif_orientation(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = LOSSLESS.get(file_format, {"quality": 100, "subsampling": 0})
    data = encode(Image.fromarray(SMOOTH), file_format, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_array_equal(read(data), upright)
    assert upright.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    # The wanted size is that of the upright picture.
    small = read(data, (10, 20))
    assert small.shape == (20, 10, 3)
    expected = Image.fromarray(upright).resize((10, 20), Image.Resampling.BILINEAR)
    assert np.abs(small.astype(int) - np.asarray(expected)).max() <= 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_read_in_both_byte_orders_behind_other_entries(order: str) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    width = struct.pack(order + "HHIHH", 0x0100, 3, 1, 640, 0)
    orientation = struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = mark + struct.pack(order + "IH", 8, 2) + width + orientation
    assert exif_orientation(tiff) == exif_orientation(b"Exif\0\0" + tiff) == 6


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_leaves_the_picture_as_it_is(value: int) -> None:
    assert exif_orientation(b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, value, 0)) == 1


@given(st.one_of(st.binary(max_size=64), st.binary(max_size=64).map(lambda data: b"Exif\0\0II*\0" + data)))
@settings(deadline=None)
def test_any_exif_bytes_have_an_orientation(data: bytes) -> None:
    assert exif_orientation(data) in range(1, 9)


def test_grey_one_bit_and_palette_pictures_become_rgb() -> None:
    grey = np.arange(54, dtype=np.uint8).reshape(6, 9) * 4
    np.testing.assert_array_equal(read(encode(Image.fromarray(grey), "PNG")), np.repeat(grey[:, :, None], 3, axis=2))
    bits = grey > 100
    black_and_white = np.repeat(bits[:, :, None], 3, axis=2) * np.uint8(255)
    np.testing.assert_array_equal(read(encode(Image.fromarray(bits), "PNG")), black_and_white)
    palette = Image.fromarray(COLORS).quantize(54)
    np.testing.assert_array_equal(read(encode(palette, "PNG")), np.asarray(palette.convert("RGB")))


def over_white(colors: Array, alpha: Array) -> Array:
    share = alpha[:, :, None] / 255
    result: Array = colors * share + 255 * (1 - share)
    return result


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_transparency_is_shown_over_white(file_format: str) -> None:
    alpha = np.linspace(0, 255, 54).reshape(6, 9).astype(np.uint8)
    with_alpha = Image.fromarray(np.dstack([COLORS, alpha]))
    options = LOSSLESS[file_format] | ({"exact": True} if file_format == "WEBP" else {})
    np.testing.assert_allclose(read(encode(with_alpha, file_format, **options)), over_white(COLORS, alpha), atol=1)


def test_grey_with_alpha_is_shown_over_white() -> None:
    alpha = np.linspace(0, 255, 54).reshape(6, 9).astype(np.uint8)
    picture = Image.merge("LA", [Image.fromarray(np.full((6, 9), 40, np.uint8)), Image.fromarray(alpha)])
    np.testing.assert_allclose(read(encode(picture, "PNG")), over_white(np.full((6, 9, 3), 40), alpha), atol=1)


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white_and_the_others_keep_their_colour(file_format: str) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putdata([0, 1])
    np.testing.assert_array_equal(read(encode(picture, file_format, transparency=0)), [[WHITE, (200, 100, 50)]])


def test_palette_entries_that_are_partly_transparent_are_blended() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 200, 100, 50])
    picture.putdata([0, 1])
    np.testing.assert_allclose(
        read(encode(picture, "PNG", transparency=bytes([51, 255]))), [[(204, 204, 204), (200, 100, 50)]], atol=1
    )


@pytest.mark.parametrize(("mode", "shade"), [("L", 40), ("RGB", (1, 2, 3)), ("1", 0)])
def test_a_colour_that_is_declared_transparent_is_white(mode: str, shade: Any) -> None:
    picture = Image.new(mode, (2, 1), 255 if mode != "RGB" else WHITE)
    picture.putpixel((0, 0), shade)
    np.testing.assert_array_equal(read(encode(picture, "PNG", transparency=shade)), [[WHITE, WHITE]])
    assert read(encode(picture, "PNG"))[0, 0].max() < 100


def test_cmyk_jpeg_has_the_colours_that_were_meant() -> None:
    cmyk = Image.fromarray(SMOOTH).convert("CMYK")
    assert np.abs(read(encode(cmyk, "JPEG", quality=95)).astype(int) - SMOOTH).mean() < 4


def test_16_bit_grey_keeps_black_white_and_every_shade_between() -> None:
    deep = np.array([[0, 128, 129, 257, 32768, 65278, 65535]], np.uint16)
    shades = read(encode(Image.fromarray(deep), "PNG"))[0]
    assert shades.tolist() == [[s] * 3 for s in (0, 0, 1, 1, 128, 254, 255)]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_by_hand(header: bytes, rows: bytes, *extra: bytes) -> bytes:
    """A PNG with any chunks between its header and its pixels."""
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_header(width: int, height: int, depth: int, kind: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)


GREY, RGB, GREY_ALPHA, RGB_ALPHA = 0, 2, 4, 6


def test_a_transparent_shade_of_16_bit_grey_is_white() -> None:
    rows = b"\0" + struct.pack(">2H", 1000, 1001)
    data = png_by_hand(png_header(2, 1, 16, GREY), rows, png_chunk(b"tRNS", struct.pack(">H", 1000)))
    assert read(data).tolist() == [[list(WHITE), [4, 4, 4]]]


@pytest.mark.parametrize(
    ("kind", "samples", "expected"),
    [
        (RGB, (65535, 32896, 0), (255, 128, 0)),
        (RGB_ALPHA, (65535, 32896, 0, 65535), (255, 128, 0)),
        (RGB_ALPHA, (65535, 32896, 0, 0), WHITE),
        (GREY_ALPHA, (32896, 65535), (128, 128, 128)),
        (GREY_ALPHA, (32896, 0), WHITE),
    ],
)
def test_16_bit_colour_and_alpha_are_scaled_to_8(
    kind: int, samples: tuple[int, ...], expected: tuple[int, int, int]
) -> None:
    rows = b"\0" + struct.pack(f">{len(samples)}H", *samples)
    assert read(png_by_hand(png_header(1, 1, 16, kind), rows)).tolist() == [[list(expected)]]


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_its_first_frame(file_format: str) -> None:
    red, blue = (Image.new("RGB", (5, 4), color) for color in ("red", "blue"))
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encode(red, file_format, save_all=True, append_images=[blue], **options)
    np.testing.assert_array_equal(read(data), np.full((4, 5, 3), (255, 0, 0)))


def photograph(width: int, height: int) -> Array:
    """Shapes at every scale, and a little noise."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = [np.sin(40 * x * y + phase) + np.sin(7 * x + 11 * y * phase) for phase in (0.5, 1.5, 2.5)]
    noise = np.random.default_rng(1).normal(0, 6, (height, width, 3))
    return np.clip(np.stack(waves, axis=-1) * 60 + 128 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("width_height", [(95, 97), (96, 96), (500, 375), (803, 601)])
def test_a_large_jpeg_is_decoded_coarsely_and_still_looks_as_if_it_were_not(width_height: tuple[int, int]) -> None:
    data = encode(Image.fromarray(photograph(*width_height)), "JPEG", quality=92)
    with Image.open(io.BytesIO(data)) as opened:
        exact = np.asarray(opened.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    difference = np.abs(read(data, (32, 32)) - exact)
    assert difference.mean() < 1.5
    assert difference.max() <= 12


def test_downscaling_averages_instead_of_picking_pixels() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    shrunk = read(encode(Image.fromarray(stripes), "PNG"), (8, 8)).astype(int)
    assert np.abs(shrunk - 127.5).max() < 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "lossless WEBP", "progressive JPEG"])
def test_the_size_is_shown_to_the_caller_once_and_before_anything_is_decoded(kind: str) -> None:
    shown: list[tuple[int, int]] = []

    def refuse(width: int, height: int) -> None:
        shown.append((width, height))
        raise TooLarge("no")

    # Cut off, so that decoding would fail with another error.
    with pytest.raises(TooLarge):
        read_file(WHOLE_FILES[kind][:-200], "the picture", refuse)
    read_file(WHOLE_FILES[kind], "the picture", lambda width, height: shown.append((width, height)))
    assert shown == [(40, 40), (40, 40)]


def webp_header(kind: bytes, width: int, height: int) -> bytes:
    if kind == b"VP8X":
        header = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == b"VP8L":
        header = b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + bytes(5)
    else:
        header = b"\x50\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)
    return b"RIFF" + struct.pack("<I", 4 + 8 + 10) + b"WEBP" + kind + struct.pack("<I", 10) + header


def bombs() -> dict[str, bytes]:
    """Small files that state 16,000 x 16,000 pixels or more."""
    many = 16_000
    gif = encode(Image.new("L", (1, 1)), "GIF")
    frame = gif.index(b"\x2c")
    jpeg = encode(Image.new("L", (8, 8)), "JPEG")
    sof = jpeg.index(b"\xff\xc0")
    bmp = encode(Image.new("L", (1, 1)), "BMP")
    return {
        "PNG": png_by_hand(png_header(many, many, 1, GREY), b""),
        "WebP VP8X": webp_header(b"VP8X", 1 << 24, 200),
        "WebP VP8L": webp_header(b"VP8L", many, many),
        "WebP VP8": webp_header(b"VP8 ", many, many),
        "GIF": gif[:6] + struct.pack("<HH", many, many) + gif[10:],
        "GIF frame": gif[: frame + 5] + struct.pack("<HH", many, many) + gif[frame + 9 :],
        "JPEG": jpeg[: sof + 5] + struct.pack(">HH", many, many) + jpeg[sof + 9 :],
        "BMP": bmp[:18] + struct.pack("<ii", many, many) + bmp[26:],
    }


@pytest.mark.parametrize("kind", bombs())
def test_a_bomb_is_refused_by_its_header_in_every_format(kind: str) -> None:
    def at_most_50_megapixels(width: int, height: int) -> None:
        if width * height > 50_000_000:
            raise InvalidRequest("the picture is too large")

    with pytest.raises(InvalidRequest, match=r"too large|frame far larger|a side may have at most"):
        read_file(bombs()[kind], "the picture", at_most_50_megapixels)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("kind", WHOLE_FILES)
def test_a_file_that_is_cut_off_is_refused(kind: str, share: float) -> None:
    data = WHOLE_FILES[kind]
    sentence = refusal(data[: int(len(data) * share)])
    expected = ("is empty", "is not a JPEG, PNG", "ends too early", "damaged or incomplete", "no whole header")
    assert any(words in sentence for words in expected)


@pytest.mark.parametrize("kind", WHOLE_FILES)
def test_a_file_that_lacks_its_last_bytes_is_refused_or_has_all_its_pixels(kind: str) -> None:
    data = WHOLE_FILES[kind]
    for missing in range(1, 40):
        try:
            pixels = read(data[:-missing])
        except InvalidRequest:
            continue
        np.testing.assert_array_equal(pixels, read(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the picture is empty"),
        (
            b"GIF89b is none",
            "is not a JPEG, PNG, WebP, BMP or GIF file: it starts with the bytes 47 49 46 38 39 62 20 69",
        ),
        (b"RIFF\x10\0\0\0WAVEfmt ", "is not a JPEG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "no whole header"),
        (b"RIFF\x20\0\0\0WEBPNONE" + bytes(30), "no whole header"),
        (b"%PDF-1.7", "is not a JPEG"),
        (b"II*\0\x08\0\0\0", "is not a JPEG"),
    ],
)
def test_what_is_no_picture_file_is_refused_by_its_first_bytes(data: bytes, words: str) -> None:
    assert words in refusal(data)


SIGNATURES = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP"]


@given(st.sampled_from(SIGNATURES), st.binary(max_size=300))
@settings(deadline=None)
def test_random_bytes_are_refused_or_read_and_nothing_else(signature: bytes, data: bytes) -> None:
    read_or_refuse(signature + data)


@given(
    kind=st.sampled_from(sorted(WHOLE_FILES)),
    spoils=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4))),
)
@settings(max_examples=300, deadline=None)
def test_files_with_spoilt_bytes_are_refused_or_read_and_nothing_else(
    kind: str, spoils: list[tuple[float, bytes]]
) -> None:
    data = bytearray(WHOLE_FILES[kind])
    for share, replacement in spoils:
        at = int(share * (len(data) - len(replacement)))
        data[at : at + len(replacement)] = replacement
    read_or_refuse(bytes(data))


def read_or_refuse(data: bytes) -> None:
    def small(width: int, height: int) -> None:
        if width * height > 1_000_000:
            raise InvalidRequest("the picture is too large")

    with warnings.catch_warnings():
        ignore_pillow_warnings()
        try:
            picture = read_file(data, "the picture", small)
        except InvalidRequest:
            return
        else:
            assert (picture.mode, min(picture.size) > 0) == ("RGB", True)


def test_pillows_warnings_do_not_escape() -> None:
    odd = png_by_hand(png_header(1, 1, 8, GREY), b"\0\x07", png_chunk(b"acTL", bytes(8)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read(odd)
        assert len(caught) == 1, "Pillow no longer warns about this file: find another"
        ignore_pillow_warnings()
        assert read(odd).tolist() == [[[7, 7, 7]]]
    assert len(caught) == 1


@pytest.mark.parametrize("animated", [False, True])
def test_a_picture_with_a_row_of_millions_is_refused_before_it_is_decoded(animated: bool) -> None:
    """Such a row takes Pillow ten seconds, and a WebP file of a few hundred bytes can state one."""
    frames = [Image.new("RGB", (7, 5), color) for color in ("red", "blue")]
    data = bytearray(encode(frames[0], "WEBP", save_all=animated, append_images=frames[1:] if animated else []))
    if not animated:
        data = bytearray(encode(frames[0], "WEBP", exif=b"Exif\0\0II*\0"))
    assert data[12:16] == b"VP8X"
    data[24:27] = (8_000_000).to_bytes(3, "little")
    assert "is 8,000,001 x 5 pixels; a side may have at most 65,535: send it smaller" in refusal(bytes(data))
