"""A record is one line (for people, a traceback below it that is marked), and no text in it can forge another one."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
from convserve_server.observe.log_format import JsonFormatter, TextFormatter
from hypothesis import given
from support.hostile_text import ANY_TEXT, PATIENT

FORGED = "no model 'x'\n2026-01-01 00:00:00,000 INFO    ready\x1b[2K\u2028 more"
A_RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|ERROR) ")


def record(message: str, *arguments: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("convserve_server.test", logging.INFO, "f.py", 1, message, arguments, None)
    vars(made).update(more)
    return made


def failed(sentence: str) -> logging.LogRecord:
    try:
        raise ValueError(sentence)
    except ValueError:
        return record("a handler failed", exc_info=sys.exc_info())


def test_text_is_for_people() -> None:
    line = TextFormatter("worker 2: ").format(record("serving %s", "a", fields={"model": "a b", "rows": 3, "none": ""}))
    assert A_RECORD.match(line)
    assert line.endswith('worker 2: serving a model="a b" rows=3 none=""')


def test_json_has_the_time_in_utc_and_every_field() -> None:
    told = json.loads(JsonFormatter(3).format(record("serving %s", "a", fields={"model": "a", "rows": 3}, created=0.5)))
    assert told == {
        "time": "1970-01-01T00:00:00.500000Z",
        "level": "info",
        "logger": "convserve_server.test",
        "message": "serving a",
        "worker": 3,
        "model": "a",
        "rows": 3,
    }
    assert datetime.fromisoformat(told["time"]).utcoffset() == timedelta(0)


def test_a_traceback_is_marked_or_inside_of_the_object() -> None:
    lines = TextFormatter().format(failed(FORGED)).split("\n")
    assert [bool(A_RECORD.match(line)) for line in lines] == [True] + [False] * (len(lines) - 1)
    assert all(line.startswith("  | ") for line in lines[1:])
    assert any("ready\\x1b[2K" in line for line in lines[1:])
    told = json.loads(JsonFormatter().format(failed(FORGED)))
    assert told["traceback"].startswith("Traceback (most recent call last):\n")
    assert "ValueError: no model 'x'" in told["traceback"]


@PATIENT
@given(ANY_TEXT, ANY_TEXT)
def test_no_text_can_add_a_line_or_a_control_character(message: str, value: str) -> None:
    made = record("%s", message, fields={"model": value})
    text, one = TextFormatter().format(made), JsonFormatter().format(made)
    assert text.isprintable()
    assert one.isascii()
    assert one.isprintable()
    told = json.loads(one)
    assert set(told) == {"time", "level", "logger", "message", "model"}
    assert all(str(v).isprintable() for v in told.values())


@PATIENT
@given(ANY_TEXT)
def test_no_error_can_forge_a_record(sentence: str) -> None:
    lines = TextFormatter().format(failed(sentence)).splitlines()
    assert all(line.startswith("  | ") and line.isprintable() for line in lines[1:])
    assert json.loads(JsonFormatter().format(failed(sentence)))["message"] == "a handler failed"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_a_line_is_of_bounded_length(formatter: logging.Formatter) -> None:
    long = "\x00" * 1_000_000
    assert len(formatter.format(record(long, fields={"model": long}))) < 50_000
    assert len(formatter.format(failed(long))) < 200_000
