"""A request of several runs is answered by several threads at once, and not by one after the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.app import App
from support.artifacts import write_sum
from support.requests import SERVICE, infer_request, outputs_of
from support.servers import call, running_app

ROWS = np.arange(22, dtype=np.float32).reshape(11, 2)
REQUEST = infer_request("sum", {"a": ROWS, "b": ROWS})


@pytest.fixture
def app(kind: str, tmp_path: Path) -> Iterator[App]:
    write_sum(tmp_path)
    with running_app(tmp_path, transport=kind, max_batch_size=4, instances=2) as app:
        yield app


@pytest.fixture
def met(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Barrier]:
    """Where the first two leaders of the model meet; broken if there are not two of them."""
    model = app.repository.find("sum")
    lead, barrier, leaders = model.lead, threading.Barrier(2), iter((1, 2))

    def meet_and_lead(batches: int | None = None) -> bool:
        if next(leaders, None):
            barrier.wait(10)
        return lead(batches)

    monkeypatch.setattr(model, "lead", meet_and_lead)
    yield barrier
    assert not barrier.broken


def test_two_threads_lead_for_a_unary_call(app: App, met: threading.Barrier) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        reply = call(channel, SERVICE + "ModelInfer", REQUEST, oip.ModelInferResponse)
    assert (outputs_of(reply)["total"] == 2 * ROWS).all()


def test_two_threads_lead_for_a_call_of_a_kind_that_was_seen_before(app: App, request: pytest.FixtureRequest) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        call(channel, SERVICE + "ModelInfer", REQUEST, oip.ModelInferResponse)
        request.getfixturevalue("met")
        reply = call(channel, SERVICE + "ModelInfer", REQUEST, oip.ModelInferResponse)
    assert (outputs_of(reply)["total"] == 2 * ROWS).all()


def test_two_threads_lead_for_a_message_of_a_stream(app: App, met: threading.Barrier) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        stream: Any = channel.stream_stream(
            SERVICE + "ModelStreamInfer", lambda m: m.SerializeToString(), oip.ModelStreamInferResponse.FromString
        )
        (reply,) = stream(iter([REQUEST]), timeout=20)
    assert (outputs_of(reply.infer_response)["total"] == 2 * ROWS).all()
