"""What an export needs installed, checked before anything slow is imported: torch, onnx, one ONNX Runtime."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Sequence

from convserve_export.errors import BadInput

MODULES = ("torch", "onnx", "onnxscript", "safetensors")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
HOW = "pip install 'convserve[export,server]'"


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_installation(
    importable: Callable[[str], bool] = _importable,
    installed: Callable[[str], bool] = _installed,
    modules: Sequence[str] = MODULES,
) -> None:
    """Raises BadInput with the command to run, where something is missing or two things overwrite each other."""
    missing = [m for m in modules if not importable(m)]
    if missing:
        raise BadInput(f"the export needs {', '.join(missing)}, which cannot be imported; run: {HOW}")
    if all(installed(r) for r in RUNTIMES):
        raise BadInput(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; run: "
            f"pip uninstall -y {' '.join(RUNTIMES)} && {HOW}"
        )
    if not importable("onnxruntime"):
        raise BadInput(
            f"exports are verified with ONNX Runtime, which is not installed; run: {HOW}, or with server-cpu"
        )
