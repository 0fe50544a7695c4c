"""JUnit XML: a suite for each model, a failure only where something that is required failed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from convserve_export.check import Check
from convserve_export.errors import BadInput
from convserve_export.junit import junit, write_junit


def test_checks_become_cases_of_their_models_suite() -> None:
    checks = [
        ("a", Check("finite weights", True, "no NaN")),
        ("a", Check("parity", False, 'differs by 3 "points" & <more>')),
        ("b", Check("int8", False, "too slow", required=False)),
    ]
    first, second = ElementTree.fromstring(junit(checks))
    assert (first.get("name"), first.get("tests"), first.get("failures"), first.get("skipped")) == ("a", "2", "1", "0")
    assert (second.get("failures"), second.get("skipped")) == ("0", "1")
    failure = first[1].find("failure")
    assert failure is not None
    assert failure.get("message") == 'differs by 3 "points" & <more>'


def test_what_xml_cannot_hold_is_replaced() -> None:
    (suite,) = ElementTree.fromstring(junit([("a", Check("b", True, "x\x00y\x1b"))]))
    assert suite[0].findtext("system-out") == "x?y?"


def test_a_file_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        write_junit(tmp_path / "no" / "junit.xml", [])
