"""The list of licences: complete, true to the locks, and nothing in it that we do not accept."""

from __future__ import annotations

import pytest

from tools.supply import licences, locks, table
from tools.supply.spdx import is_satisfied
from tools.supply.table import Licence

LOCKS = {name: locks.read(name) for name in locks.names((locks.ROOT / "pyproject.toml").read_text(encoding="utf-8"))}


def test_the_list_has_every_distribution_of_every_lock_at_its_version_and_no_other() -> None:
    listed = {(row.name, row.version): set(row.locks) for row in table.read()}
    assert listed == {
        (pin.name, pin.version): {name for name, lock in LOCKS.items() if pin.name in {each.name for each in lock}}
        for pin in locks.merged(LOCKS.values())
    }


def test_every_licence_is_accepted() -> None:
    assert licences.refused(table.read()) == []


def test_a_licence_that_is_not_accepted_is_refused_with_a_sentence() -> None:
    rows = [Licence("ours", "1", "MIT", ("client",)), Licence("theirs", "2", "GPL-3.0-only", ("client", "server"))]
    assert licences.refused(rows) == ["theirs 2 is under GPL-3.0-only, which is not accepted for client, server"]


@pytest.mark.parametrize(("name", "wanted_by"), [("nvidia-cublas", ("cuda", "export")), ("other", ("cuda",))])
def test_nvidias_terms_are_accepted_for_nvidias_libraries_in_the_cuda_extra_alone(
    name: str, wanted_by: tuple[str, ...]
) -> None:
    assert licences.accepted("nvidia-cublas", licences.NVIDIA, ["cuda"])
    assert not licences.accepted(name, licences.NVIDIA, wanted_by)


@pytest.mark.parametrize(
    ("metadata", "expression"),
    [
        ({"license_expression": "MIT-CMU", "license": "other"}, "MIT-CMU"),
        ({"license": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"license": "MIT"}, "MIT"),
        ({"license": "See the file", "classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
    ],
)
def test_metadata_old_and_new_comes_to_an_spdx_expression(metadata: dict[str, object], expression: str) -> None:
    assert licences.stated({"name": "some", "version": "1"} | metadata) == expression


def test_metadata_that_says_nothing_is_an_error_and_no_guess() -> None:
    with pytest.raises(licences.NoLicence, match=r"some states no licence .* add it to KNOWN"):
        licences.stated({"name": "some", "version": "1", "license": "ask me"})


@pytest.mark.parametrize(
    ("expression", "satisfied"),
    [
        ("MIT", True),
        ("GPL-2.0-only", False),
        ("MIT AND GPL-2.0-only", False),
        ("MIT OR GPL-2.0-only", True),
        ("GPL-2.0-only OR MIT AND Zlib", True),
        ("(GPL-2.0-only OR MIT) AND Zlib", True),
        ("(MIT OR Zlib) AND GPL-2.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH some-exception", False),
    ],
)
def test_and_needs_all_and_or_needs_one(expression: str, satisfied: bool) -> None:
    assert is_satisfied(expression, {"MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"}) is satisfied


@pytest.mark.parametrize("text", ["", "MIT AND", "(MIT", "MIT Zlib", "OR MIT", "MIT)"])
def test_what_is_no_expression_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="SPDX expression"):
        is_satisfied(text, {"MIT", "Zlib"})


def test_a_table_is_read_back_as_it_was_written() -> None:
    rows = [Licence("a", "1.0", "MIT OR Apache-2.0", ("client", "server")), Licence("b-c", "2", "ISC", ("cuda",))]
    assert table.parse(table.render(rows)) == rows
