"""A candidate as TorchScript: traced, and written without the traces of the machine that it was traced on.

TorchScript is deprecated in favour of torch.export. It is still what libtorch and Triton's PyTorch backend load, so it
is exported and verified; the deprecation warnings are silenced here, and only they.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from convserve_export.candidate import Candidate

DROPPED = (
    ".debug_pkl",  # source lines with the paths of this machine
    "/.data/serialization_id",  # a hash over what was dropped; optional
    "/traced_inputs.pkl",  # shapes of the example; used by debuggers only
    "/traced_inputs/0",
)

_MANGLED = re.compile(rb"___torch_mangle_(\d+)")
"""Torch tells classes of one name apart by numbers, which it counts on and on in a process."""


@contextmanager
def _deprecated_on_purpose() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        yield


def to_torchscript(candidate: Candidate) -> bytes:
    """The bytes of a TorchScript file that :func:`load_torchscript`, torch.jit.load and libtorch read.

    The same candidate gives the same bytes.
    """
    buffer = io.BytesIO()
    with _deprecated_on_purpose(), torch.no_grad():
        _forget_names()
        # Verification compares on many inputs, at sizes that were not traced; trace's own check adds nothing.
        traced = torch.jit.trace(candidate.module, candidate.example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer)
    return _without_traces(buffer)


def _forget_names() -> None:
    """Let torch name classes as in a fresh process: it tells those apart that it has traced before."""
    torch._C._jit_clear_class_registry()
    torch.jit._recursive.concrete_type_store = torch.jit._recursive.ConcreteTypeStore()
    torch.jit._state._clear_class_state()


def load_torchscript(path: Path) -> torch.jit.ScriptModule:
    """The module in a TorchScript file, on the CPU. Raises RuntimeError where the file is damaged."""
    with _deprecated_on_purpose():
        module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    assert isinstance(module, torch.jit.ScriptModule)
    return module


def _without_traces(archive: io.BytesIO) -> bytes:
    cleaned = io.BytesIO()
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(cleaned, "w") as target:
        kept = [e for e in source.infolist() if not e.filename.endswith(DROPPED)]
        numbers = sorted({int(n) for e in kept for n in _MANGLED.findall(e.filename.encode())})
        order = {number: i for i, number in enumerate(numbers)}

        def renumbered(text: bytes) -> bytes:
            return _MANGLED.sub(lambda m: b"___torch_mangle_%d" % order.get(int(m[1]), int(m[1])), text)

        for entry in kept:
            data = source.read(entry)
            # Names end with a line there, so they may change their length.
            if "/code/" in entry.filename or entry.filename.endswith("/data.pkl"):
                data = renumbered(data)
            # A new ZipInfo has a fixed date.
            target.writestr(zipfile.ZipInfo(renumbered(entry.filename.encode()).decode()), data)
    return cleaned.getvalue()
