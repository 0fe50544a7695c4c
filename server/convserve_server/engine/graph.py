"""What an ONNX graph says of itself, for models that bring no manifest."""

from __future__ import annotations

from convserve_server.engine.model import Description
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.session import Session
from convserve_server.errors import ModelBroken

BATCH_AXES = frozenset({"n", "b", "batch", "batch_size", "batchsize", "batch_dim", "num_batch", "unk__batch"})
"""Names that exporters give to an axis of rows that do not depend on each other."""


def describe(name: str, version: int, session: Session, batched: bool | None) -> Description:
    """The description of a model by its graph.

    Where ``batched`` is None it is taken to be batched only when axis 0 of every input and output is one and the same
    free axis with a name that says so: rows of different callers must not meet in a model that mixes them.

    Raises ModelBroken when ``batched`` is wanted and an input or output has no free axis 0.
    """
    return Description(
        name=name,
        version=version,
        task="",
        inputs=session.inputs,
        outputs=session.outputs,
        batched=_batched(session, batched),
    )


def check_config(settings: ModelSettings, description: Description) -> None:
    """Raise ModelBroken where a model's config says something else than its manifest or graph."""
    if settings.batched is not None and settings.batched != description.batched:
        raise ModelBroken(
            "its config has a max_batch_size, but its manifest says that axis 0 does not count rows"
            if settings.batched
            else "its config has max_batch_size 0, but its manifest says that axis 0 counts rows"
        )
    for kind, configured, real in (
        ("input", settings.inputs, description.inputs),
        ("output", settings.outputs, description.outputs),
    ):
        shapes = {spec.name: spec.shape[1:] if description.batched else spec.shape for spec in real}
        for name, shape in configured.items():
            if name not in shapes:
                raise ModelBroken(f"its config names the {kind} '{name}'; the model has {', '.join(shapes) or 'none'}")
            fits = len(shape) == len(shapes[name]) and all(
                -1 in pair or pair[0] == pair[1] for pair in zip(shape, shapes[name], strict=True)
            )
            if shape and not fits:
                raise ModelBroken(
                    f"its config gives {kind} '{name}' the dims {list(shape)}; the model has {list(shapes[name])}"
                )


def _batched(session: Session, wanted: bool | None) -> bool:
    first = {axes[0] if axes else "" for axes in session.axes}
    if wanted is None:
        return len(first) == 1 and all(isinstance(a, str) and a.lower() in BATCH_AXES for a in first)
    if wanted and any(isinstance(a, int) or a == "" for a in first):
        raise ModelBroken(
            "its config has a max_batch_size, but axis 0 of its inputs and outputs is not free in all of them; "
            "set max_batch_size to 0"
        )
    return wanted
