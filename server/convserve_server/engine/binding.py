"""A session's fixed buffers on a device: one set for each batch size, allocated once and bound once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convserve_server.engine.model import Array, Description, TensorSpec
from convserve_server.engine.pinned import pin
from convserve_server.engine.session import NUMPY_TYPES, Session


def can_bind(description: Description) -> bool:
    """Whether all sizes but the number of rows are known, and numpy has the types."""
    return description.batched and all(
        -1 not in spec.shape[1:] and spec.datatype in NUMPY_TYPES and spec.datatype != "BF16"
        for spec in (*description.inputs, *description.outputs)
    )


class BoundProgram:
    """Runs a session on ``device`` ("cpu" or "cuda") in buffers that never move. For one thread at a time.

    Before a run, write the rows into ``staging``: one host array for each input, as long as the largest bucket.
    """

    def __init__(self, session: Session, description: Description, buckets: Sequence[int], device: str) -> None:
        import onnxruntime

        self._session, self._on_device = session.native, device != "cpu"
        self.staging = [_zeros(spec, max(buckets)) for spec in description.inputs]
        if device == "cuda":
            for array in self.staging:
                pin(array)
        self._buffers = {b: _Buffers(self._session, description, b, device) for b in buckets}
        self._options = {}
        # A session that may capture does so in any run that does not say -1.
        for graph in (-1, *buckets) if session.graphs else ():
            self._options[graph] = onnxruntime.RunOptions()
            self._options[graph].add_run_config_entry("gpu_graph_id", str(graph))

    def run(self, bucket: int, *, graph: bool = False) -> list[Array]:
        """Run the first ``bucket`` rows of the staging. The outputs are the caller's to keep.

        With ``graph``, the first run of a bucket captures it, and later ones replay that.
        """
        buffers = self._buffers[bucket]
        for value, staged in zip(buffers.inputs, self.staging, strict=True):
            value.update_inplace(staged[:bucket])
        self._session.run_with_iobinding(buffers.binding, self._options.get(bucket if graph else -1))
        # Of memory on the CPU, numpy() is a view, and the next run writes there.
        return [value.numpy() if self._on_device else value.numpy().copy() for value in buffers.outputs]


class _Buffers:
    """Device memory of one bucket."""

    def __init__(self, session: Any, description: Description, rows: int, device: str) -> None:
        from onnxruntime import OrtValue

        def allocated(spec: TensorSpec) -> Any:
            shape = [rows, *spec.shape[1:]]
            return OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(NUMPY_TYPES[spec.datatype]), device, 0)

        self.binding = session.io_binding()
        self.inputs = [allocated(spec) for spec in description.inputs]
        self.outputs = [allocated(spec) for spec in description.outputs]
        for spec, value in zip(description.inputs, self.inputs, strict=True):
            self.binding.bind_ortvalue_input(spec.name, value)
        for spec, value in zip(description.outputs, self.outputs, strict=True):
            self.binding.bind_ortvalue_output(spec.name, value)


def _zeros(spec: TensorSpec, rows: int) -> Array:
    array: Array = np.zeros((rows, *spec.shape[1:]), NUMPY_TYPES[spec.datatype])
    return array
