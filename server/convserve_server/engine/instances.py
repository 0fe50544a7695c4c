"""The run slots of a model: on the CPU they share one session, on CUDA each has its own, with everything prepared."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from convserve_server.engine.batcher import Instance
from convserve_server.engine.binding import BoundProgram, can_bind
from convserve_server.engine.buckets import bucket_sizes
from convserve_server.engine.gate import Gate
from convserve_server.engine.graphs import GraphsBroken, winning_graphs
from convserve_server.engine.model import Description
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.owner import OwnedInstance, Owner
from convserve_server.engine.padded import PaddedInstance
from convserve_server.engine.session import CUDA, Session, SessionInstance
from convserve_server.errors import ModelBroken

log = logging.getLogger(__name__)

OpenSession = Callable[[bool], Session]
"""Another session of the same model, able to capture CUDA graphs or not. Raises ModelBroken where it cannot be."""

GATE = Gate()
"""Of the device: there is one in a process."""


def make_instances(
    first: Session,
    open_session: OpenSession,
    description: Description,
    settings: ModelSettings,
    warm: Callable[[Session], None],
) -> list[Instance]:
    """Run slots for a model, warmed: no batch that they may get is the first of its shape.

    ``first`` is a session that is open already. Raises ModelBroken when a further one cannot be opened or warmed.
    """
    rows = settings.limits.max_batch_size
    if first.provider != CUDA:
        warm(first)
        return [SessionInstance(first, description, rows) for _ in range(settings.engine.instances)]
    return _cuda_instances(first, open_session, description, settings, warm)


def _cuda_instances(
    first: Session,
    open_session: OpenSession,
    description: Description,
    settings: ModelSettings,
    warm: Callable[[Session], None],
) -> list[Instance]:
    count = settings.engine.cuda.instances
    if settings.engine.cuda.graphs and can_bind(description):
        try:
            return [_owned(open_session(True), description, settings, warm) for _ in range(count)]
        except (ModelBroken, GraphsBroken) as error:
            log.warning("%s is run without CUDA graphs: %s", description.name, error)
    sessions = [first, *(open_session(False) for _ in range(count - 1))]
    return [_owned(session, description, settings, warm) for session in sessions]


def _owned(
    session: Session, description: Description, settings: ModelSettings, warm: Callable[[Session], None]
) -> Instance:
    """An instance that its own thread has made and warmed, and runs."""
    owner = Owner(f"cuda-{description.name}")
    make = partial(prepared, session, description, settings.limits.max_batch_size, warm, GATE)
    try:
        return OwnedInstance(owner.call(make), owner, GATE)
    except (ModelBroken, GraphsBroken):
        raise
    except Exception as error:
        raise ModelBroken(f"it cannot be prepared for CUDA: {error}") from error


def prepared(
    session: Session,
    description: Description,
    max_batch_size: int,
    warm: Callable[[Session], None],
    gate: Gate,
    device: str = "cuda",
) -> Instance:
    """An instance with fixed buffers where the model allows it, each of its batch sizes run once and again.

    Raises GraphsBroken when the session captures graphs and one is not right.
    """
    with gate.shared():
        warm(session)
        if not can_bind(description):
            return SessionInstance(session, description, max_batch_size)
        buckets = bucket_sizes(max_batch_size)
        program = BoundProgram(session, description, buckets, device)
        # The largest first: what it needs is enough for the others.
        for bucket in reversed(buckets):
            for _ in range(2):
                program.run(bucket)
    graphs = winning_graphs(program, buckets, gate) if session.graphs else ()
    return PaddedInstance(program, buckets, graphs)
