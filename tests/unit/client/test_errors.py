"""The SDK's errors: complete, drawn as they are, and carrying what the server said."""

from __future__ import annotations

import inspect
import pickle
import re

import convserve_client
import grpc
import pytest
from convserve_client import errors


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode if code.name != "OK"])
def test_every_status_code_has_an_error(code: str) -> None:
    error = errors.call_error(code, "a sentence", target="host:1", method="/a.B/C")
    assert type(error) is errors.BY_CODE[code]
    assert (error.code, error.message, error.target, error.method) == (code, "a sentence", "host:1", "/a.B/C")


def test_an_error_reads_as_the_servers_sentence_its_code_and_where_it_came_from() -> None:
    error = errors.call_error("NOT_FOUND", "there is no model 'x'", target="host:1", method="/a.B/C")
    assert str(error) == "there is no model 'x' (NOT_FOUND from host:1)"


def test_a_status_code_of_the_future_is_still_an_error_of_ours() -> None:
    assert type(errors.call_error("TEAPOT", "", target="host:1", method="/a.B/C")) is errors.ServerFailure


def test_the_drawing_shows_every_error_under_its_parent() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        match = re.match(r"((?:[│ ]   |[├└]── )*)([A-Z]\w+)(?:$|  )", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn[match[2]] = path[depth - 1] if depth else "Exception"
    classes = {name: getattr(errors, name) for name in errors.__all__}
    assert drawn == {name: kind.__bases__[0].__name__ for name, kind in classes.items()}


def test_every_error_can_be_caught_without_importing_a_private_module() -> None:
    assert set(errors.__all__) <= set(convserve_client.__all__)


def test_a_call_error_travels_between_processes() -> None:
    error = errors.call_error("UNAVAILABLE", "gone", target="host:1", method="/a.B/C")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.method) == (type(error), str(error), error.method)
