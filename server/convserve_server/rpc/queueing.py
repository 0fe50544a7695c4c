"""What a request asks of the queue: the parameters priority and timeout, as Triton's clients send them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from convserve_server.engine.model import Answer, Model, QueuePolicy, Reply, Submitter
from convserve_server.errors import DeadlineExceeded, InvalidRequest, QueueTimeout, ServerError, Unsupported

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import InferParameter, ModelInferRequest

_PLAIN = frozenset({"headers", "binary_data_output", "triton_enable_empty_final_response"})
"""Parameters that Triton's clients may send and that change nothing here, beside those that only the caller knows."""


class Queued:
    """A waiter with a priority, and perhaps a moment at which it has waited long enough."""

    def __init__(self, waiter: Submitter, priority: int, give_up: float) -> None:
        self._waiter = waiter
        self.priority = priority
        self.gives_up_first = give_up < waiter.deadline
        self.deadline = min(give_up, waiter.deadline)

    def abandoned(self) -> bool:
        """See Waiter.abandoned."""
        return self._waiter.abandoned()

    def await_room(self) -> bool:
        """See Submitter.await_room."""
        return self._waiter.await_room()


def queued(request: ModelInferRequest, model: Model, waiter: Submitter, reply: Reply) -> tuple[Submitter, Reply]:
    """What to submit a request with, by its parameters and the model's policy.

    Raises InvalidRequest for a parameter of the wrong type or an unknown one of Triton's, Unsupported for sequences.
    """
    policy = model.queue_policy
    if not request.parameters and policy.timeout is None:
        return waiter, reply
    priority, timeout = _asked(request, policy)
    if priority != policy.default_priority:
        model.prioritize()
    give_up = float("inf") if timeout is None else time.monotonic() + timeout
    waiting = Queued(waiter, priority, give_up)
    return waiting, _told_of_timeout(waiting, reply) if waiting.gives_up_first else reply


def _asked(request: ModelInferRequest, policy: QueuePolicy) -> tuple[int, float | None]:
    """Level and seconds that a request asks for, or the policy's where it asks for none."""
    priority, timeout = policy.default_priority, policy.timeout
    for name, parameter in request.parameters.items():
        if name.startswith("sequence_"):
            raise Unsupported(f"parameter '{name}' is not supported: every request stands alone here")
        if name == "priority":
            level = _number(name, parameter)
            # Triton too takes a level that is not there for the default.
            priority = level if 1 <= level <= policy.priority_levels else priority
        elif name == "timeout":
            microseconds = _number(name, parameter)
            if microseconds and policy.timeout_override:
                timeout = microseconds / 1e6
        elif name.startswith("triton_") and name not in _PLAIN:
            raise InvalidRequest(f"parameter '{name}' is reserved for Triton, and this server does not know it")
    return priority, timeout


def _number(name: str, parameter: InferParameter) -> int:
    field = parameter.WhichOneof("parameter_choice")
    if field not in ("int64_param", "uint64_param"):
        raise InvalidRequest(f"parameter '{name}' takes an int64_param, but {field or 'nothing'} was sent")
    number: int = getattr(parameter, field)
    if number < 0:
        raise InvalidRequest(f"parameter '{name}' is {number}; it takes 0 or more")
    return number


def _told_of_timeout(waiting: Queued, reply: Reply) -> Reply:
    def told(result: Answer | ServerError) -> None:
        if isinstance(result, DeadlineExceeded):
            result = QueueTimeout(
                "Request timeout expired: it waited in the queue for longer than it or its model allows"
            )
        reply(result)

    return told
