"""`make audit`: what is not checked is never called clean."""

from __future__ import annotations

import pytest

from tools.supply import audit
from tools.supply.audit import CLEAN, NOT_CHECKED, VULNERABLE, Findings
from tools.supply.locks import Pin

PINS = [Pin("one", "1.0", "", ()), Pin("two", "2.0", "", ())]
FINE = {"name": "one", "version": "1.0", "vulns": []}
BAD = {"name": "Two", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "two", "skip_reason": "Dependency not found"}


def test_all_looked_up_and_nothing_known_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    found = audit.findings({"dependencies": [FINE, {**BAD, "vulns": []}]}, PINS)
    assert audit.verdict(found, where_reachable=False) == CLEAN
    assert capsys.readouterr().out == "checked for known vulnerabilities: none\n"


@pytest.mark.parametrize("where_reachable", [True, False])
def test_a_known_vulnerability_fails_and_says_what_mends_it(
    where_reachable: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = audit.findings({"dependencies": [FINE, BAD]}, PINS)
    assert audit.verdict(found, where_reachable=where_reachable) == VULNERABLE
    assert "VULNERABLE two 2.0: PYSEC-1, mended in 2.1" in capsys.readouterr().err


@pytest.mark.parametrize("answered", [[FINE, SKIPPED], [FINE]], ids=["skipped", "missing"])
def test_a_pin_that_the_database_does_not_know_is_not_checked(
    answered: list[dict[str, object]], capsys: pytest.CaptureFixture[str]
) -> None:
    """An index without the database's pages answers "not found" for everything, and pip-audit ends with exit code 0."""
    found = audit.findings({"dependencies": answered}, PINS)
    assert audit.verdict(found, where_reachable=False) == NOT_CHECKED
    said = capsys.readouterr()
    assert "NOT CHECKED for known vulnerabilities: 1 pins" in said.err
    assert said.out == ""


def test_where_unreachable_is_accepted_it_is_still_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.verdict(Findings((), ("one 1.0: no route",)), where_reachable=True) == CLEAN
    said = capsys.readouterr()
    assert "NOT CHECKED" in said.err
    assert "none" not in said.out


def test_a_vulnerability_that_one_database_knows_counts_though_another_knew_more_pins() -> None:
    found = audit.combined([Findings(("two 2.0: X",), ("one 1.0: ?",)), Findings((), ())])
    assert found == Findings(("two 2.0: X",), ())
