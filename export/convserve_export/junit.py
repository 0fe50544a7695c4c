"""Checks as JUnit XML, which CI systems show: a suite for each model, a case for each check."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from convserve_export.check import Check
from convserve_export.errors import BadInput

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(checks: Iterable[tuple[str, Check]]) -> bytes:
    """The report; ``checks`` with the name of their suite. A check that is not required is skipped where it fails."""
    suites: dict[str, list[Check]] = {}
    for suite, check in checks:
        suites.setdefault(suite, []).append(check)
    root = ElementTree.Element("testsuites", name="convserve-export")
    for suite, members in suites.items():
        failed = sum(not c.passed and c.required for c in members)
        skipped = sum(not c.passed and not c.required for c in members)
        counts = {"tests": str(len(members)), "failures": str(failed), "skipped": str(skipped), "errors": "0"}
        element = ElementTree.SubElement(root, "testsuite", {"name": _text(suite), **counts})
        for check in members:
            case = ElementTree.SubElement(element, "testcase", classname=_text(suite), name=_text(check.name))
            if check.passed:
                ElementTree.SubElement(case, "system-out").text = _text(check.detail)
            else:
                ElementTree.SubElement(case, "failure" if check.required else "skipped", message=_text(check.detail))
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def write_junit(path: Path, checks: Iterable[tuple[str, Check]]) -> None:
    """Write the report. Raises BadInput where the file cannot be written."""
    try:
        path.write_bytes(junit(checks))
    except OSError as error:
        raise BadInput(f"the JUnit report {path} cannot be written: {error.strerror}") from error


def _text(text: str) -> str:
    return _NOT_XML.sub("?", text)
