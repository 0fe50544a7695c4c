"""The soak finds what it is there to find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_proto import vision_pb2

from benchmarks import affine_model
from benchmarks.load import _check_traffic
from benchmarks.servers import ServerFailed
from benchmarks.soak.calls import Call, Calls
from benchmarks.soak.client import BAD, CANCEL, DEADLINE, PATIENT, judge
from benchmarks.soak.findings import Findings
from benchmarks.soak.flatness import Sample, growth
from benchmarks.soak.picture import svg
from benchmarks.soak.pictures import Known, images, unreadable
from benchmarks.soak.report import _complaints
from benchmarks.soak.streams import READ, stream

KNOWN = [Known(image, "cat", 0.5) for image in images(3)]


def call_of(kind: str, client: int = 7) -> Call:
    calls = Calls(client, KNOWN)
    while (call := calls.next()).kind != kind:
        pass
    return call


def infer_call(client: int = 7) -> Call:
    return call_of("infer", client)


def answer_to(body: bytes, version: int = 1, named: int = 1) -> bytes:
    request = oip.ModelInferRequest.FromString(body)
    rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(-1, affine_model.WIDTH)
    numbers = affine_model.expected(rows, version).tobytes()
    response = oip.ModelInferResponse(id=request.id, model_version=str(named), raw_output_contents=[numbers])
    content: bytes = response.SerializeToString()
    return content


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


def test_an_answer_of_another_version_than_it_names_is_noticed() -> None:
    mine = infer_call()
    assert mine.wrong(answer_to(mine.body, version=3, named=3)) == ""
    assert "another's numbers" in mine.wrong(answer_to(mine.body, version=2, named=3))


def classified(body: bytes, probability: float = 0.5) -> bytes:
    response = vision_pb2.ClassifyResponse()
    bad = set(unreadable())
    for image in vision_pb2.ClassifyRequest.FromString(body).images:
        result = response.results.add()
        if image.SerializeToString() in bad:
            result.error.code = 3
        else:
            result.classifications.add(label="cat", probability=probability)
    return response.SerializeToString()


def test_another_picture_s_probability_is_noticed_though_the_label_is_right() -> None:
    call = call_of("classify")
    assert call.wrong(classified(call.body)) == ""
    assert "0.700000" in call.wrong(classified(call.body, probability=0.7))


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
        (BAD, "UNKNOWN", 1),
    ],
)
def test_only_who_gave_up_may_go_without_an_answer(behaviour: str, status: str, violations: int) -> None:
    findings = Findings()
    judge(infer_call(), behaviour, outcome(status), findings)
    assert findings.violations == violations


def test_an_answer_is_checked_even_where_the_caller_was_about_to_cancel() -> None:
    findings = Findings()
    judge(infer_call(7), CANCEL, outcome("OK", answer_to(infer_call(8).body)), findings)
    assert findings.violations == 1


class FakeChannel:
    """Answers every message of a stream, then changes the list of answers."""

    def __init__(self, change: Callable[[list[Any]], list[Any]]) -> None:
        self._change = change

    def stream_stream(self, path: str, *_: object) -> Any:
        return lambda bodies, timeout: iter(self._change([self._answer(body) for body in bodies]))

    def _answer(self, body: bytes) -> Any:
        request = oip.ModelInferRequest.FromString(body)
        if request.model_name == "nobody":
            return oip.ModelStreamInferResponse(error_message="there is no nobody", infer_response={"id": request.id})
        reply = oip.ModelInferResponse.FromString(answer_to(body))
        return oip.ModelStreamInferResponse(infer_response=reply)


class Patient(Random):
    """Reads every stream to its end, and has 9 messages on each, none bad."""

    def choices(self, *_: Any, **__: Any) -> Any:
        return [READ]

    def randint(self, a: int, b: int) -> int:
        return min(b, 9)

    def random(self) -> float:
        return 0.5


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda answers: answers, ""),
        (lambda answers: answers[:-1], "ended 1 answers early"),
        (lambda answers: [*answers, answers[-1]], "more answers than it had messages"),
        (lambda answers: [answers[1], answers[0], *answers[2:]], "was answered as"),
    ],
)
def test_lost_doubled_and_swapped_answers_of_a_stream_are_found(
    change: Callable[[list[Any]], list[Any]], sentence: str
) -> None:
    calls, findings = Calls(7, KNOWN), Findings()
    calls.random = Patient()
    channel: Any = FakeChannel(change)
    stream(channel, calls, findings, 1.0)
    assert bool(findings.violations) == bool(sentence)
    assert sentence in " ".join(findings.sentences)


def samples(memory: list[float], threads: int = 10, descriptors: int = 20) -> list[Sample]:
    return [Sample(float(n), m, threads, descriptors) for n, m in enumerate(memory)]


IDLE = Sample(0.0, 100.0, 10, 12)


def test_a_server_that_settles_and_stays_is_flat() -> None:
    assert growth(samples([80.0, 90.0, 99.0, *([100.0] * 37)]), IDLE, IDLE) == []


def test_memory_that_keeps_growing_is_found() -> None:
    growing = samples([100.0 + n / 8 for n in range(40)])
    assert growth(growing, IDLE, IDLE) == [], "of a brief soak, too little to tell"
    (sentence,) = growth([replace(s, seconds=60 * s.seconds) for s in growing], IDLE, IDLE)
    assert "memory grew by 2.8%" in sentence
    (sentence,) = growth(samples([100.0 + n / 4 for n in range(40)]), IDLE, IDLE)
    assert "memory grew by 5.6%" in sentence


def test_a_soak_that_is_too_short_to_tell_is_no_success() -> None:
    (sentence,) = growth(samples([100.0] * 10), IDLE, IDLE)
    assert "too few samples" in sentence


def test_descriptors_and_threads_that_add_up_are_found() -> None:
    (sentence,) = growth(samples([100.0] * 40), IDLE, Sample(99.0, 100.0, 10, 40))
    assert "40 descriptors are open after the load" in sentence
    (sentence,) = growth(samples([100.0] * 25) + samples([100.0] * 15, threads=30), IDLE, IDLE)
    assert "threads grew from 10 to 30" in sentence
    (sentence,) = growth(samples([100.0] * 25) + samples([100.0] * 15, descriptors=30), IDLE, IDLE)
    assert "descriptors grew from 20 to 30" in sentence


def test_what_the_server_logs_is_a_violation_unless_it_was_asked_for() -> None:
    spoilt = Path("/models/affine/7")
    log = f"12:00 ERROR   refused {spoilt}: changed\n12:01 ERROR   a call was answered twice\nrefused is no error\n"
    (sentence,) = _complaints(log, [spoilt])
    assert "answered twice" in sentence


def test_the_picture_shows_what_the_document_says() -> None:
    sample = {"seconds": 1.0, "memory_mb": 100.0, "threads": 10, "descriptors": 20}
    picture = svg(
        {
            "samples": [sample, {**sample, "seconds": 60.0}],
            "load": {"seconds": 60.0},
            "outcomes": {"infer, patient, OK": 1234, "reload, guest": 5, "fault, noise": 6},
            "violations": [],
            "quarters": {"early": sample, "late": sample, "memory_growth": 0.0123},
            "events": [{"seconds": 3.0, "what": "reload: guest"}, {"seconds": 4.0, "what": "noise"}],
            "transport": "fast",
            "machine": {"cpu": "<CPU>", "cores": "2"},
        }
    )
    ElementTree.fromstring(picture)
    assert "1,234 calls, 5 reloads and 6 faults: every answer right, none lost, none doubled" in picture
    assert "+1.23%" in picture


def test_replies_of_h2load_are_counted_by_their_bytes() -> None:
    traffic = "traffic: 1.00KB (1024) total, 100B (100) headers (space savings 9%), {}B ({}) data"
    _check_traffic(traffic.format(450, 450), requests=10, reply_bytes=40)
    with pytest.raises(ServerFailed, match=r"10 requests were answered with the bytes of 9\.00"):
        _check_traffic(traffic.format(405, 405), requests=10, reply_bytes=40)
