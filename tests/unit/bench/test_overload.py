"""The overload curve is told as a table and drawn as a picture."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from benchmarks.curve import svg
from benchmarks.overload import table


def document() -> dict[str, Any]:
    point = {"accepted": 100.0, "refused": 0.0, "late": 0.0, "p50": 3.0, "p99": 9.0, "lag_p99": 0.2}
    point |= {"refusal_p50": 0.5, "refusal_p99": 1.5}
    points = [{**point, "factor": factor, "offered": 100 * factor} for factor in (0.5, 1.0, 3.0)]
    machine = {"cpu": "a <fast> CPU", "cores": "2"}
    return {"machine": machine, "rows": 8, "pinned": False, "deadline_ms": 250.0, "capacity": 100.0, "points": points}


def test_the_table_has_a_line_for_each_rate() -> None:
    lines = table(document()).splitlines()
    assert len(lines) == 2 + 3
    assert lines[-1] == "| 300/s | 3 x | 100/s | 0/s | 0/s | 3.0 / 9.0 | 0.5 / 1.5 | 0.2 |"


def test_the_picture_is_well_formed_and_has_a_line_for_each_figure() -> None:
    root = ElementTree.fromstring(svg(document()))
    lines = [element for element in root.iter() if element.tag.endswith("polyline")]
    assert len(lines) == 7
    assert all(len(line.attrib["points"].split()) == 3 for line in lines)
