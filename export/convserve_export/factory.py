"""A user's own network as a candidate: made by a function that they name, described by what it does with examples."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from convserve_proto import manifest_pb2
from torch import Tensor, nn

from convserve_export.candidate import Candidate
from convserve_export.cases import Case, TensorSpec
from convserve_export.check import first_line
from convserve_export.errors import BadInput
from convserve_export.parameters import count_module
from convserve_export.preprocessing import normalize_by

BATCH_SIZES = (1, 2, 3, 7, 16)
EXAMPLE_BATCH_SIZE = 4
FREE_LENGTHS = (16, 24)
"""An axis that is named by a word is traced with the first length and verified with both."""
DATATYPES = {torch.float32: "FP32", torch.int64: "INT64", torch.uint8: "UINT8", torch.bool: "BOOL"}


@dataclass(frozen=True)
class InputShape:
    """One input without its batch axis: a number is a fixed length, a word an axis of any length."""

    name: str
    """Empty means the name of the argument of ``forward``."""
    dims: tuple[int | str, ...]


def make_module(factory: str) -> nn.Module:
    """What ``package.module:function`` returns; the current folder is searched as well. Raises BadInput."""
    where, _, name = factory.partition(":")
    if not where or not name:
        raise BadInput(f"--factory is '{factory}'; it takes package.module:function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        made = getattr(importlib.import_module(where), name)()
    except Exception as error:  # their code may raise anything
        raise BadInput(f"--factory {factory} does not work: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.pop(0)
    if not isinstance(made, nn.Module):
        raise BadInput(f"--factory {factory} returned {type(made).__name__}; expected a torch.nn.Module")
    return made.cpu().eval()


def load_weights(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Put trained weights into the module. Raises BadInput where they do not fit."""
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        raise BadInput(f"the weights of {source} do not fit the network: {' '.join(lines) or error}") from error


def own_candidate(
    module: nn.Module,
    *,
    name: str,
    shapes: Sequence[InputShape],
    output_names: Sequence[str] = (),
    labels: Sequence[str] = (),
    preprocessing: manifest_pb2.ImagePreprocessing | None = None,
    pictures: Tensor | None = None,
) -> Candidate:
    """A batched candidate of any module. Raises BadInput where it does not run, or not as it is described.

    With ``preprocessing`` it is an image classifier; ``pictures`` are uint8 ``[N, 3, height, width]`` then.
    """
    inputs = _inputs(module, shapes)
    outputs = _outputs(module, inputs, output_names)
    if preprocessing is not None:
        _require_classifier(inputs, outputs, labels)
    return Candidate(
        name=name,
        task=manifest_pb2.TASK_IMAGE_CLASSIFICATION if preprocessing else manifest_pb2.TASK_UNSPECIFIED,
        module=module,
        inputs=inputs,
        outputs=outputs,
        batched=True,
        example=_example(inputs, EXAMPLE_BATCH_SIZE, FREE_LENGTHS[0]),
        cases=_cases(inputs, preprocessing, pictures),
        expected_parameters=count_module(module),
        labels=tuple(labels),
        preprocessing=preprocessing,
        pictures=None if pictures is None else pictures.numpy(),
    )


def _inputs(module: nn.Module, shapes: Sequence[InputShape]) -> tuple[TensorSpec, ...]:
    arguments = [
        p.name
        for p in inspect.signature(module.forward).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(shapes) > len(arguments):
        raise BadInput(f"{len(shapes)} input shapes for a forward that takes {len(arguments)}: {', '.join(arguments)}")
    # nn.Sequential calls its argument "input", as most networks may be called here.
    return tuple(
        TensorSpec(shape.name or argument, "FP32", ("batch", *shape.dims))
        for shape, argument in zip(shapes, arguments, strict=False)
    )


def _example(inputs: Sequence[TensorSpec], rows: int, free: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(5)
    return tuple(torch.randn(_sizes(spec, rows, free), generator=generator) for spec in inputs)


def _sizes(spec: TensorSpec, rows: int, free: int) -> list[int]:
    return [rows if d == "batch" else free if isinstance(d, str) else d for d in spec.dims]


def _outputs(module: nn.Module, inputs: tuple[TensorSpec, ...], names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """What comes out at two batch sizes and two lengths of the free axes tells which axes are free."""
    usual, more_rows, longer = (_run(module, inputs, *sizes) for sizes in ((4, 0), (3, 0), (4, 1)))
    if names and len(names) != len(usual):
        raise BadInput(f"{len(names)} output names for a network with {len(usual)} outputs: {', '.join(names)}")
    names = names or (["output"] if len(usual) == 1 else [f"output_{i}" for i in range(len(usual))])
    specs = []
    for name, first, other, long in zip(names, usual, more_rows, longer, strict=True):
        if first.dim() == 0 or (first.shape[0], other.shape[0]) != (4, 3):
            raise BadInput(
                f"output '{name}' is {list(first.shape)} for 4 rows and {list(other.shape)} for 3: axis 0 of every "
                "output must be the batch"
            )
        if first.dtype not in DATATYPES:
            raise BadInput(f"output '{name}' is {first.dtype}; expected one of {', '.join(map(str, DATATYPES))}")
        dims = [
            d if d == e else f"{name}_axis_{i}" for i, (d, e) in enumerate(zip(first.shape, long.shape, strict=True))
        ]
        specs.append(TensorSpec(name, DATATYPES[first.dtype], ("batch", *dims[1:])))
    return tuple(specs)


def _run(module: nn.Module, inputs: tuple[TensorSpec, ...], rows: int, free: int) -> list[Tensor]:
    example = _example(inputs, rows, FREE_LENGTHS[free])
    told = ", ".join(f"{s.name} {list(t.shape)}" for s, t in zip(inputs, example, strict=True))
    try:
        with torch.inference_mode():
            result = module(*example)
    except Exception as error:  # their code may raise anything
        raise BadInput(f"the network does not run on {told}: {first_line(error)}") from error
    outputs = [result] if isinstance(result, Tensor) else result
    if not isinstance(outputs, list | tuple) or not all(isinstance(o, Tensor) for o in outputs):
        kinds = type(result).__name__
        raise BadInput(f"the network returned {kinds} for {told}; expected a tensor, or a tuple or list of tensors")
    return list(outputs)


def _require_classifier(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], labels: Sequence[str]) -> None:
    shapes = [s.shape for s in inputs]
    if len(inputs) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or -1 in shapes[0][2:]:
        raise BadInput("an image classifier takes one input, --input-shape 3,HEIGHT,WIDTH with fixed numbers")
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].shape[1] != len(labels):
        told = ", ".join(f"{o.name} {list(o.shape)}" for o in outputs)
        raise BadInput(
            f"an image classifier with {len(labels)} labels has one output [batch, {len(labels)}], not {told}"
        )


def _cases(
    inputs: tuple[TensorSpec, ...], preprocessing: manifest_pb2.ImagePreprocessing | None, pictures: Tensor | None
) -> tuple[Case, ...]:
    generator = torch.Generator().manual_seed(6)
    free = FREE_LENGTHS if any(isinstance(d, str) for s in inputs for d in s.dims[1:]) else FREE_LENGTHS[:1]
    cases = []
    for rows in BATCH_SIZES:
        for length in free:
            kind = f" {length}" if len(free) > 1 else ""
            random = {s.name: torch.randn(_sizes(s, rows, length), generator=generator).numpy() for s in inputs}
            cases.append(Case(f"random{kind}", rows, random))
            cases.append(Case(f"zeros{kind}", rows, {n: 0 * a for n, a in random.items()}))
    if preprocessing is not None and pictures is not None:
        again = pictures.repeat(math.ceil(max(BATCH_SIZES) / len(pictures)), 1, 1, 1)
        values = normalize_by(again, preprocessing)
        cases += [Case("pictures", rows, {inputs[0].name: values[:rows].numpy()}) for rows in BATCH_SIZES]
    return tuple(cases)
