"""Runs of a model before it is served: the first caller does not pay for lazy set-up, and a broken model shows now."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from convserve_server.engine.model import Array, Description, TensorSpec
from convserve_server.engine.model_settings import WarmUp
from convserve_server.engine.session import NUMPY_TYPES, Session
from convserve_server.errors import ModelBroken

log = logging.getLogger(__name__)


def warm_ups_for(description: Description, wanted: Sequence[WarmUp]) -> list[WarmUp]:
    """Those that are of this model's inputs: what a config says is of the usual ones, not of pixels."""
    known = {spec.name for spec in description.inputs}
    return [w for w in wanted if known >= {*w.shapes, *w.random}]


def warm_up(session: Session, description: Description, wanted: Sequence[WarmUp], *, must_run: bool) -> None:
    """Run a model as ``wanted``, or once on zeros where nothing is.

    Raises ModelBroken when a wanted run fails, or the one on zeros where ``must_run``. Of a model that nobody vouches
    for, it is not known that it takes zeros and free axes of 1, so that failure is only logged.
    """
    for plan in wanted or (WarmUp(),):
        inputs = tuple(filled(spec, plan, description.batched) for spec in description.inputs)
        for _ in range(plan.runs):
            try:
                session.run(inputs)
            except Exception as error:
                if wanted:
                    raise ModelBroken(f"the warm-up run that its config asks for failed: {error}") from error
                if must_run:
                    raise ModelBroken(f"its first run failed: {error}") from error
                log.info("%s does not run on zeros, so it is not warm: %s", description.name, error)
                return


def known_input(
    session: Session, description: Description, wanted: Sequence[WarmUp], *, must_run: bool
) -> tuple[Array, ...] | None:
    """An input that the model has been run on, to look later whether it still works; None where none is known."""
    plan = next(iter(wanted), WarmUp())
    inputs = tuple(filled(spec, plan, description.batched) for spec in description.inputs)
    if not (wanted or must_run):
        try:
            session.run(inputs)
        except Exception:
            return None
    return inputs


def filled(spec: TensorSpec, plan: WarmUp, batched: bool) -> Array:
    """An input for a run as ``plan`` says; free axes are 1 long where it says nothing."""
    smallest = tuple(1 if d == -1 else d for d in spec.shape)
    rows = (plan.rows,) if batched else ()
    shape = (*rows, *plan.shapes.get(spec.name, smallest[len(rows) :]))
    if spec.datatype == "BYTES":
        return np.full(shape, "", object)
    if spec.name in plan.random:
        numbers = np.random.default_rng(0).random(shape)
        return numbers.astype(NUMPY_TYPES[spec.datatype])
    return np.zeros(shape, NUMPY_TYPES[spec.datatype])
