"""Files that would take too long to decode are refused before they are decoded."""

from __future__ import annotations

import io
import time

import pytest
from convserve_proto import vision_pb2 as vision
from convserve_server.errors import InvalidRequest, TooLarge
from convserve_server.rpc.decode_cost import decode_seconds, scans
from convserve_server.rpc.images import ImageLimits, PixelBudget, decode
from PIL import Image


def jpeg(side: int, *, progressive: bool = False) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(file, "JPEG", progressive=progressive)
    return file.getvalue()


def with_scans(data: bytes, more: int) -> bytes:
    """The same progressive JPEG with its last scan again and again: a few bytes each, for a pass over all pixels."""
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * more + b"\xff\xd9"


def test_a_small_file_of_many_scans_is_refused_before_it_costs_minutes() -> None:
    data = with_scans(jpeg(4000, progressive=True), 1000)
    assert len(data) < 4_000_000
    assert scans(data) > 1000
    started = time.process_time()
    with pytest.raises(
        InvalidRequest, match=r"image 0 may take 4\d.\d s to decode; at most 10 s are accepted: send it"
    ):
        decode(vision.Image(encoded=data), "image 0", PixelBudget(ImageLimits()), (32, 32))
    assert time.process_time() - started < 2


def test_an_ordinary_progressive_picture_is_decoded() -> None:
    data = jpeg(600, progressive=True)
    assert 5 <= scans(data) <= 12
    assert decode(vision.Image(encoded=data), "image 0", PixelBudget(ImageLimits()), (32, 32)).shape == (32, 32, 3)


def test_the_files_of_a_request_share_its_time() -> None:
    data = jpeg(1000)
    most = 2.5 * decode_seconds("JPEG", data, 1000, 1000)
    budget = PixelBudget(ImageLimits(max_decode_time=most))
    for number in range(2):
        decode(vision.Image(encoded=data), f"image {number}", budget)
    with pytest.raises(TooLarge, match=r"image 2 may take 0\.0 s to decode and takes this request over"):
        decode(vision.Image(encoded=data), "image 2", budget)


def test_the_largest_picture_of_every_format_is_within_the_default() -> None:
    limits = ImageLimits()
    for file_format in ("JPEG", "PNG", "WebP", "GIF", "BMP"):
        assert decode_seconds(file_format, b"", limits.max_pixels, 1) < limits.max_decode_time
    all_of_them = 4 * decode_seconds("PNG", b"", limits.max_pixels, 1)
    assert all_of_them <= limits.max_decode_time
