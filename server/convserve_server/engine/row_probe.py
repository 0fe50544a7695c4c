"""Whether a model's rows really do not depend on each other, where only the name of an axis says so."""

from __future__ import annotations

import logging

import numpy as np

from convserve_server.engine.model import Array, Description, TensorSpec
from convserve_server.engine.session import NUMPY_TYPES, Session

log = logging.getLogger(__name__)

ROWS = 3
RTOL, ATOL = 1e-2, 1e-3
"""Generous: rows that are mixed differ by far more, and a batch may be computed by other kernels than a row."""


def rows_are_independent(session: Session, description: Description) -> bool:
    """Run a few made-up rows together and one by one: a model that mixes rows gives something else.

    True also where the model does not run on made-up rows, so that nothing can be seen.
    """
    if any(spec.datatype in ("BYTES", "BF16") for spec in (*description.inputs, *description.outputs)):
        return True
    numbers = np.random.default_rng(0)
    inputs = [_made_up(spec, numbers) for spec in description.inputs]
    try:
        together = session.run(inputs)
        apart = [session.run([array[row : row + 1] for array in inputs]) for row in range(ROWS)]
    except Exception as error:
        log.info("%s does not run on made-up rows, so its axis is believed: %s", description.name, error)
        return True
    return all(_same(whole, [outputs[place] for outputs in apart]) for place, whole in enumerate(together))


def _made_up(spec: TensorSpec, numbers: np.random.Generator) -> Array:
    shape = (ROWS, *(2 if d == -1 else d for d in spec.shape[1:]))
    dtype = np.dtype(NUMPY_TYPES[spec.datatype])
    # Whole numbers may be indices, and these are the ones that every table has.
    return numbers.standard_normal(shape).astype(dtype) if dtype.kind == "f" else np.ones(shape, dtype)


def _same(together: Array, apart: list[Array]) -> bool:
    if together.shape[:1] != (ROWS,) or any(a.shape != (1, *together.shape[1:]) for a in apart):
        return False
    joined = np.concatenate(apart)
    return bool(np.allclose(together, joined, rtol=RTOL, atol=ATOL, equal_nan=True))
