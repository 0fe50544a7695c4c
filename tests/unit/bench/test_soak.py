"""The soak finds what it is there to find."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from convserve_proto import open_inference as oip

from benchmarks import affine_model
from benchmarks.flatness import Sample, growth
from benchmarks.load import _check_traffic
from benchmarks.servers import ServerFailed
from benchmarks.soak_calls import Calls, pictures
from benchmarks.soak_client import CANCEL, DEADLINE, PATIENT, Findings, _judge


def infer_call(client: int = 7):  # type: ignore[no-untyped-def]
    calls = Calls(client, dict.fromkeys(pictures(3), "cat"))
    while (call := calls.next()).kind != "infer":
        pass
    return call


def answer_to(body: bytes) -> bytes:
    request = oip.ModelInferRequest.FromString(body)
    rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(-1, affine_model.WIDTH)
    numbers = affine_model.expected(rows).tobytes()
    return oip.ModelInferResponse(id=request.id, raw_output_contents=[numbers]).SerializeToString()


def outcome(status: str, reply: bytes = b"") -> SimpleNamespace:
    return SimpleNamespace(code=lambda: SimpleNamespace(name=status), result=lambda: reply, details=lambda: "why")


def test_a_call_knows_its_own_answer_from_another_client_s() -> None:
    mine, other = infer_call(7), infer_call(8)
    assert mine.wrong(answer_to(mine.body)) == ""
    assert "answered as 8-" in mine.wrong(answer_to(other.body))


def test_swapped_rows_are_noticed_though_the_id_is_right() -> None:
    mine, other = infer_call(7), infer_call(8)
    response = oip.ModelInferResponse.FromString(answer_to(other.body))
    response.id = oip.ModelInferRequest.FromString(mine.body).id
    assert "another's numbers" in mine.wrong(response.SerializeToString())


@pytest.mark.parametrize(
    ("behaviour", "status", "violations"),
    [
        (PATIENT, "CANCELLED", 1),
        (PATIENT, "DEADLINE_EXCEEDED", 1),
        (PATIENT, "RESOURCE_EXHAUSTED", 0),
        (CANCEL, "CANCELLED", 0),
        (CANCEL, "INTERNAL", 1),
        (DEADLINE, "DEADLINE_EXCEEDED", 0),
        (DEADLINE, "UNKNOWN", 1),
    ],
)
def test_only_who_gave_up_may_go_without_an_answer(behaviour: str, status: str, violations: int) -> None:
    findings = Findings()
    _judge(infer_call(), behaviour, outcome(status), findings)
    assert findings.violations == violations


def test_an_answer_is_checked_even_where_the_caller_was_about_to_cancel() -> None:
    findings = Findings()
    _judge(infer_call(7), CANCEL, outcome("OK", answer_to(infer_call(8).body)), findings)
    assert findings.violations == 1


def samples(memory: list[float], threads: int = 10) -> list[Sample]:
    return [Sample(float(n), m, threads, 20) for n, m in enumerate(memory)]


IDLE = Sample(0.0, 100.0, 10, 12)


def test_a_server_that_settles_and_stays_is_flat() -> None:
    assert growth(samples([80.0, 90.0, 99.0, *([100.0] * 20)]), IDLE, IDLE) == []


def test_memory_that_keeps_growing_is_found() -> None:
    (sentence,) = growth(samples([100.0 + n for n in range(40)]), IDLE, IDLE)
    assert "memory grew by 15.0 MB" in sentence


def test_descriptors_that_stay_open_and_threads_that_add_up_are_found() -> None:
    more = Sample(99.0, 100.0, 10, 40)
    (sentence,) = growth(samples([100.0] * 20), IDLE, more)
    assert "40 descriptors" in sentence
    (sentence,) = growth(samples([100.0] * 25) + samples([100.0] * 15, threads=30), IDLE, IDLE)
    assert "threads grew from 10 to 30" in sentence


def test_replies_of_h2load_are_counted_by_their_bytes() -> None:
    traffic = "traffic: 1.00KB (1024) total, 100B (100) headers (space savings 9%), {}B ({}) data"
    _check_traffic(traffic.format(450, 450), requests=10, reply_bytes=40)
    with pytest.raises(ServerFailed, match=r"10 requests were answered with the bytes of 9\.00"):
        _check_traffic(traffic.format(405, 405), requests=10, reply_bytes=40)
