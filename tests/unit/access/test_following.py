"""Files are read anew once they have changed and come to rest; what cannot be used changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from convserve_server.access.following import Followed
from convserve_server.errors import InvalidSettings


class Words:
    """A file of words that is followed; 'bad' cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "words"
        self.reads = 0
        self.path.write_text("one")
        self.followed = Followed("the words", (self.path,), self._read)

    def _read(self) -> str:
        self.reads += 1
        try:
            text = self.path.read_text()
        except OSError as error:
            raise InvalidSettings("it is gone") from error
        if text.startswith("bad"):
            raise InvalidSettings("it is bad")
        return text

    def look(self, times: int = 1) -> str:
        for _ in range(times):
            self.followed.refresh()
        return self.followed.value


@pytest.fixture
def words(tmp_path: Path) -> Words:
    return Words(tmp_path)


def test_what_has_not_changed_is_not_read_again(words: Words) -> None:
    assert words.look(5) == "one"
    assert words.reads == 1


def test_a_change_is_in_force_after_two_looks(words: Words) -> None:
    words.path.write_text("two!")
    assert words.look() == "one"
    assert words.look() == "two!"


def test_what_is_still_being_written_is_not_read(words: Words) -> None:
    for length in range(4, 9):
        words.path.write_text("x" * length)
        assert words.look() == "one"
    assert words.look() == "x" * 8
    assert words.reads == 2


def test_a_file_that_is_replaced_is_read_even_where_size_and_time_are_the_same(words: Words) -> None:
    other = words.path.with_name("other")
    other.write_text("two")
    before = words.path.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(words.path)
    assert words.look(2) == "two"


def test_what_cannot_be_used_is_said_once_and_the_old_stays_in_force(
    words: Words, caplog: pytest.LogCaptureFixture
) -> None:
    words.path.write_text("bad news")
    assert words.look(5) == "one"
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.message == ("the words changed and cannot be used: it is bad. The ones from before stay in force")
    words.path.write_text("two")
    assert words.look(2) == "two"


def test_a_file_that_is_gone_changes_nothing_until_it_is_back(words: Words, caplog: pytest.LogCaptureFixture) -> None:
    words.path.unlink()
    assert words.look(5) == "one"
    assert caplog.text.count("it is gone") == 1
    words.path.write_text("back")
    assert words.look(2) == "back"


def test_what_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    reads = []

    def read() -> str:
        text = path.read_text()
        reads.append(text)
        if text == "22":
            path.write_text("333")
        return text

    followed = Followed("the file", (path,), read)
    path.write_text("22")
    seen = []
    for _ in range(4):
        followed.refresh()
        seen.append(followed.value)
    assert seen == ["1", "1", "1", "333"]
    assert reads == ["1", "22", "333"]
