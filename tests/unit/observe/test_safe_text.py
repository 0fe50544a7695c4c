"""Whatever others put into a log, it stays one printable piece of bounded length."""

from __future__ import annotations

import pytest
from convserve_server.observe.safe_text import quoted, safe
from hypothesis import example, given
from hypothesis import strategies as st
from support.hostile_text import ANY_TEXT, PATIENT


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("größer als 1 %, naïve, 猫", "größer als 1 %, naïve, 猫"),
        ("one\nline\r\n", "one\\nline\\r\\n"),
        ("\x1b[31mred\x07\x9b", "\\x1b[31mred\\x07\\x9b"),
        ("a\u2028b\u2029\x85", "a\\u2028b\\u2029\\x85"),
        ("right\u202eleft", "right\\u202eleft"),
        ("half \ud800 a pair", "half \\ud800 a pair"),
        ("\U000e0001tag", "\\U000e0001tag"),
        ("12345678901", "1234567890... (1 more)"),
    ],
)
def test_what_is_not_printable_is_written_as_an_escape(text: str, written: str) -> None:
    assert safe(text, 10 if text.startswith("123") else 100) == written


@PATIENT
@given(ANY_TEXT, st.integers(0, 100))
@example("\ud800", 1)
def test_any_text_becomes_one_printable_line_of_bounded_length(text: str, most: int) -> None:
    written = safe(text, most)
    assert written.isprintable()
    assert len(written.splitlines()) <= 1
    assert len(written) <= 10 * most + 20
    written.encode()


@PATIENT
@given(ANY_TEXT)
def test_a_value_is_either_one_word_or_in_quotes_that_it_cannot_close(text: str) -> None:
    written = quoted(text, 100)
    if written.startswith('"'):
        inside = written[1:-1].replace("\\\\", "").replace('\\"', "")
        assert '"' not in inside
        assert written.endswith('"')
    else:
        assert written
        assert not set(written) & set(' ="\\')
