"""Shared memory is used inside of its bounds only, whatever its owner does to it meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from convserve_server.errors import InvalidRequest, RegionExists, RegionNotFound, TooManyRegions
from convserve_server.rpc.regions import MOST_REGIONS, Regions


@pytest.fixture
def regions(tmp_path: Path) -> Regions:
    """A folder in place of /dev/shm with an object of 16 bytes, of which 8 from byte 4 on are registered."""
    (tmp_path / "object").write_bytes(bytes(range(16)))
    regions = Regions(tmp_path)
    regions.register("r", "/object", 4, 8)
    return regions


def test_bytes_are_read_and_written_from_the_regions_offset_on(regions: Regions, tmp_path: Path) -> None:
    assert regions.read("r", 1, 3) == b"\x05\x06\x07"
    regions.write("r", 6, b"xy")
    assert (tmp_path / "object").read_bytes() == bytes(range(10)) + b"xy" + bytes(range(12, 16))


@pytest.mark.parametrize(("offset", "size"), [(0, 9), (8, 1), (-1, 2), (0, -1), (2**62, 2**62)])
def test_nothing_outside_of_a_region_is_touched(regions: Regions, offset: int, size: int) -> None:
    for use in (regions.read, regions.check):
        with pytest.raises(InvalidRequest, match="Invalid offset"):
            use("r", offset, size)


def test_an_object_that_its_owner_shrinks_is_an_error_and_not_the_end_of_the_server(
    regions: Regions, tmp_path: Path
) -> None:
    os.truncate(tmp_path / "object", 6)
    with pytest.raises(InvalidRequest, match="has become smaller"):
        regions.read("r", 0, 8)
    with pytest.raises(InvalidRequest, match="has 6 bytes"):
        regions.write("r", 0, bytes(8))
    assert (tmp_path / "object").stat().st_size == 6


def test_a_name_is_registered_once_until_it_is_unregistered(regions: Regions) -> None:
    with pytest.raises(RegionExists, match="'r' already in manager"):
        regions.register("r", "object", 0, 1)
    regions.unregister("nope")
    regions.unregister("r")
    with pytest.raises(RegionNotFound, match="'r'; registered are: none"):
        regions.read("r", 0, 1)
    regions.register("r", "object", 0, 1)
    regions.register("s", "object", 0, 16)
    assert [r.name for r in regions.all()] == ["r", "s"]
    regions.unregister("")
    assert regions.all() == []
    with pytest.raises(RegionNotFound):
        regions.all("r")


@pytest.mark.parametrize("key", ["", "/", "nope", "../object", "/a/b", "..", "folder", "link", "a\0b", "x" * 300])
def test_only_shared_memory_can_be_registered(regions: Regions, tmp_path: Path, key: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "object")
    with pytest.raises(InvalidRequest, match="Unable to open"):
        regions.register("x", key, 0, 1)


@pytest.mark.parametrize(("offset", "size"), [(0, 17), (16, 1), (2**63, 2**63)])
def test_a_region_lies_inside_of_its_object(regions: Regions, offset: int, size: int) -> None:
    with pytest.raises(InvalidRequest, match="the shared memory has 16 bytes"):
        regions.register("x", "object", offset, size)
    with pytest.raises(InvalidRequest, match="byte_size above 0"):
        regions.register("x", "object", 0, 0)


def test_regions_cannot_take_all_descriptors(regions: Regions) -> None:
    for number in range(MOST_REGIONS - 1):
        regions.register(str(number), "object", 0, 1)
    with pytest.raises(TooManyRegions, match=f"{MOST_REGIONS} regions .* unregister one first"):
        regions.register("one more", "object", 0, 1)
    regions.unregister("0")
    regions.register("one more", "object", 0, 1)
    regions.unregister("")
