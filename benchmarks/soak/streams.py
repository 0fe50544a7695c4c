"""The soak's ModelStreamInfer: every message answered once, in its order, and with its own numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
from convserve_proto import open_inference as oip

from benchmarks.soak.calls import Calls
from benchmarks.soak.findings import Findings

METHOD = f"/{oip.SERVICE}/ModelStreamInfer"
_LONGEST = 40
_SLOW = 0.02
"""Seconds at most that a slow reader takes between two answers."""
REFUSED = "the server is overloaded"
"""In the sentence for who was never accepted: the stream goes on, so there is no status."""
READ, SLOW, ABANDON = "read", "read slowly", "abandoned"


def stream(channel: grpc.Channel, calls: Calls, findings: Findings, patience: float) -> None:
    """One stream from start to end, or to where it is abandoned."""
    random = calls.random
    behaviour = random.choices((READ, SLOW, ABANDON), (6, 2, 2))[0]
    wanted = [_message(calls, bad=random.random() < 0.05) for _ in range(random.randint(1, _LONGEST))]
    keep = random.randint(0, len(wanted)) if behaviour == ABANDON else len(wanted)
    bodies = [request.SerializeToString() for request, _ in wanted]
    method: Any = channel.stream_stream(METHOD, None, oip.ModelStreamInferResponse.FromString)
    answers = method(iter(bodies), timeout=patience)
    try:
        for (_, wrong), answer in zip(wanted[:keep], _paced(answers, calls, behaviour), strict=False):
            keep -= 1
            if sentence := wrong(answer):
                findings.violation(f"a stream, {behaviour}: {sentence}")
        if behaviour == ABANDON:
            answers.cancel()
        elif keep:
            findings.violation(f"a stream ended {keep} answers early")
        elif next(answers, None) is not None:
            findings.violation("a stream has more answers than it had messages")
        code = "OK"
    except grpc.RpcError as error:
        code = str(error.code().name)
        if code != "RESOURCE_EXHAUSTED":
            findings.violation(f"a stream, {behaviour}: {code} {error.details()}")
    findings.outcomes[f"stream, {behaviour}, {code}"] += 1


def _paced(answers: Any, calls: Calls, behaviour: str) -> Iterator[Any]:
    for answer in answers:
        yield answer
        if behaviour == SLOW:
            time.sleep(calls.random.uniform(0, _SLOW))


def _message(calls: Calls, *, bad: bool) -> tuple[Any, Any]:
    request, wrong = calls.infer_request(calls.random.randint(1, 4))
    if bad:
        request.model_name = "nobody"

    def wrong_answer(answer: Any) -> str:
        if bad:
            own = "nobody" in answer.error_message and answer.infer_response.id == request.id
            return "" if own else f"message {request.id} for no model was answered with {answer}"
        if REFUSED in answer.error_message:
            return ""
        if answer.error_message:
            return f"message {request.id}: {answer.error_message}"
        told: str = wrong(answer.infer_response)
        return told

    return request, wrong_answer
