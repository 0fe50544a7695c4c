"""The sidecars: whatever changes, in a file or in the sidecar itself, is found and named."""

from __future__ import annotations

from convserve_proto.checksums import faults, sums

FILES = {"a.json": b"one", "b.html": b"two"}


def found(files: dict[str, bytes], sidecar: bytes) -> list[str]:
    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    return faults("x.sha256", sidecar, read)


def test_unchanged_files_have_no_fault() -> None:
    assert found(FILES, sums(FILES)) == []


def test_a_changed_and_a_missing_file_are_named() -> None:
    assert found({"a.json": b"One"}, sums(FILES)) == [
        "a.json was changed after the export: its SHA-256 is not the one in x.sha256",
        "b.html, which x.sha256 lists, is missing",
    ]


def test_every_flipped_bit_of_the_sidecar_is_found() -> None:
    sidecar = sums(FILES)
    for position in range(len(sidecar)):
        for bit in range(8):
            flipped = bytearray(sidecar)
            flipped[position] ^= 1 << bit
            assert found(FILES, bytes(flipped)), (position, bit)


def test_a_sidecar_cannot_point_outside_of_its_folder() -> None:
    assert "no hash and file name" in found(FILES, b"0" * 64 + b"  ../secret\n")[0]
