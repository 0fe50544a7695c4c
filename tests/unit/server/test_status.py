"""Every error has a status code, and bugs are kept from callers."""

from __future__ import annotations

import pytest
from convserve_proto import vision_pb2
from convserve_server import errors
from convserve_server.calls import Call, Code, Notes
from convserve_server.rpc.status import CODES, guarded, parse, status_of


def test_every_error_for_callers_has_a_status_code() -> None:
    assert set(CODES) == set(errors.ServerError.__subclasses__())


def test_a_full_queue_is_not_unavailable_because_clients_retry_that_blindly() -> None:
    assert status_of(errors.QueueFull("full")) == (Code.RESOURCE_EXHAUSTED, "full")


def test_a_bug_is_logged_with_its_traceback_and_answered_without(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("secret")
    except KeyError as error:
        code, sentence = status_of(error)
    assert code is Code.INTERNAL
    assert "secret" not in sentence
    assert "KeyError: 'secret'" in caplog.text


def test_bytes_that_are_no_message_are_an_invalid_request() -> None:
    with pytest.raises(errors.InvalidRequest, match=r"the 2 bytes .* no valid convserve.v1.ClassifyRequest"):
        parse(vision_pb2.ClassifyRequest, b"\xff\xff")


@pytest.mark.parametrize("sentence", ["x" * 9000, "ß" * 9000, "\udcff" * 9000])
def test_a_sentence_is_cut_to_what_a_header_takes(sentence: str) -> None:
    _, told = status_of(errors.InvalidRequest(sentence))
    assert told.endswith(" ...")
    assert len(told.encode()) < 2010


class FailingCall:
    deadline = float("inf")
    metadata = ()
    peer = ""
    identities: tuple[bytes, ...] = ()
    notes: Notes | None = None

    def __init__(self) -> None:
        self.failures: list[tuple[Code, str]] = []

    def abandoned(self) -> bool:
        return False

    def await_room(self) -> bool:
        return False

    def reply(self, payload: bytes) -> None:
        raise AssertionError("it was to fail")

    def fail(self, code: Code, message: str, retry_after: float | None = None) -> None:
        self.failures.append((code, message))

    def lead(self, work: object, runs: int = 1) -> None:
        raise AssertionError("there is nothing to lead")


def test_whatever_a_handler_raises_becomes_a_status() -> None:
    def handler(payload: bytes, call: Call) -> None:
        raise errors.ModelNotFound(payload.decode())

    call = FailingCall()
    guarded(handler)(b"no such model", call)
    assert call.failures == [(Code.NOT_FOUND, "no such model")]
