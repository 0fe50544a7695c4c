"""Rules that hold for every call of the Open Inference Protocol's service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from convserve_proto import open_inference as oip
from support.artifacts import write_sum
from support.open_inference import ask, refused
from support.servers import running_app

CALLS = oip.POOL.FindServiceByName(oip.SERVICE).methods
UNARY = [method.name for method in CALLS if not method.client_streaming]
OF_A_MODEL = ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics")


@pytest.fixture
def channel(kind: str, tmp_path: Path) -> Iterator[grpc.Channel]:
    write_sum(tmp_path)
    with (
        running_app(tmp_path, transport=kind) as app,
        grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        yield channel


def test_there_are_twenty_calls_and_one_is_a_stream() -> None:
    assert (len(CALLS), len(UNARY)) == (20, 19)


def test_bytes_that_are_no_message_are_an_invalid_argument(channel: grpc.Channel) -> None:
    for name in UNARY:
        code, sentence = refused(channel, name, b"\xff\xff\xff")
        assert code is grpc.StatusCode.INVALID_ARGUMENT, name
        assert sentence == f"the 3 bytes of the request are no valid inference.{name}Request message"


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_a_model_or_version_that_is_not_there_is_not_found_and_one_that_is_no_number_invalid(
    channel: grpc.Channel, name: str
) -> None:
    request = getattr(oip, f"{name}Request")
    assert refused(channel, name, request(name="nope"))[0] is grpc.StatusCode.NOT_FOUND
    assert refused(channel, name, request(name="sum", version="7"))[0] is grpc.StatusCode.NOT_FOUND
    code, sentence = refused(channel, name, request(name="sum", version="latest"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "failed to get model version from specified version string 'latest'" in sentence
    ask(channel, name, request(name="sum", version="1"))
