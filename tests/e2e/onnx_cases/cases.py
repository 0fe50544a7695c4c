"""The ONNX project's own backend test cases: models with inputs and the outputs that they must give."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

RUNNER_TOLERANCES = (1e-3, 1e-7)
"""rtol and atol of ONNX's own runner."""


@dataclass(frozen=True)
class Case:
    """One model with its data."""

    kind: str
    name: str
    model: bytes
    data: Sequence[tuple[Sequence[Any], Sequence[Any]]]
    """Inputs and expected outputs, in the order of the graph's."""
    rtol: float
    atol: float

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, without those that are initializers."""
        graph = onnx.load_from_string(self.model).graph
        constants = {i.name for i in graph.initializer}
        return [i.name for i in graph.input if i.name not in constants]


def collect() -> Iterator[Case]:
    """Every case that the installed package carries. The "real" models are left out: their weights are downloads."""
    with warnings.catch_warnings():
        # Their reference code divides by zero on purpose.
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.model import collect_testcases as models
        from onnx.backend.test.case.node import collect_testcases as nodes

        for case in nodes():
            yield _from_code("node", case)
        for case in models():
            if case.model is not None:
                yield _from_code(case.kind, case)
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for kind in ("simple", "pytorch-converted", "pytorch-operator"):
        for path in sorted(p for p in (folder / kind).iterdir() if (p / "model.onnx").exists()):
            yield _from_files(kind, path)
    for path in sorted((folder / "light").glob("*.onnx")):
        yield _light(path)


def _from_code(kind: str, case: Any) -> Case:
    # Some tensors are still protobuf messages, whatever the types say.
    data = [([_array(t) for t in given], [_array(t) for t in expected]) for given, expected in case.data_sets]
    return Case(kind, case.name, case.model.SerializeToString(), data, case.rtol, case.atol)


def _array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _from_files(kind: str, path: Path) -> Case:
    content = (path / "model.onnx").read_bytes()
    graph = onnx.load_from_string(content).graph
    data = [
        (_tensors(part, "input", graph.input), _tensors(part, "output", graph.output))
        for part in sorted(path.glob("test_data_set_*"))
    ]
    return Case(kind, path.name, content, data, *RUNNER_TOLERANCES)


def _tensors(folder: Path, kind: str, described: Sequence[Any]) -> list[Any]:
    tensors: list[Any] = []
    for index, info in enumerate(described):
        path = folder / f"{kind}_{index}.pb"
        if not path.exists():
            break
        if info.type.WhichOneof("value") != "tensor_type":
            # Sequences and the like, which are not carried; what is in it does not matter.
            tensors.append(None)
            continue
        tensors.append(numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())))
    return tensors


def _light(path: Path) -> Case:
    """Weights are constants; the input is counted up from 0 to 1, as ONNX's runner does."""
    content = path.read_bytes()
    graph = onnx.load_from_string(content).graph
    constants = {i.name for i in graph.initializer}
    (info,) = [i for i in graph.input if i.name not in constants]
    shape = [d.dim_value or 1 for d in info.type.tensor_type.shape.dim]
    size = int(np.prod(shape))
    given = (np.arange(size).reshape(shape) / size).astype(np.float32)
    expected = numpy_helper.to_array(
        onnx.TensorProto.FromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
    )
    return Case("light", path.stem, content, [([given], [expected])], *RUNNER_TOLERANCES)
