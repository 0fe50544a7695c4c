"""Methods of the inference service that are answered at once: a message in, a message out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Call, Method
from convserve_server.rpc.status import guarded

Answer = Callable[[bytes], Message]
"""A serialized request to the response. Raises ServerError for what cannot be answered."""


def simple_methods(answers: Mapping[str, Answer]) -> list[Method]:
    """Methods of inference.GRPCInferenceService, by their names."""
    return [Method(f"/{oip.SERVICE}/{name}", guarded(_handler(answer))) for name, answer in answers.items()]


def _handler(answer: Answer) -> Callable[[bytes, Call], None]:
    def handler(payload: bytes, call: Call) -> None:
        call.reply(answer(payload).SerializeToString())

    return handler
