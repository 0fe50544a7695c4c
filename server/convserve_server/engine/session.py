"""ONNX Runtime sessions and execution providers. With binding.py and bfloat16.py, all that imports onnxruntime."""

from __future__ import annotations

import ctypes
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from convserve_server.engine.bfloat16 import BFloat16Session
from convserve_server.engine.cuda import CudaSettings
from convserve_server.engine.external_data import weights_beside
from convserve_server.engine.model import Array, Description, TensorSpec
from convserve_server.errors import EngineUnavailable, ModelBroken

log = logging.getLogger(__name__)

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

NUMPY_TYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "u2",
    "UINT32": "u4",
    "UINT64": "u8",
    "INT8": "i1",
    "INT16": "i2",
    "INT32": "i4",
    "INT64": "i8",
    "FP16": "f2",
    "FP32": "f4",
    "FP64": "f8",
    # numpy has no such type: its bits.
    "BF16": "u2",
}


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How models are run."""

    provider: str = "auto"
    """auto (CUDA where it really works, else CPU), cpu, or cuda (CUDA, or refuse to start)."""
    instances: int = 1
    """Batches of one model that may run at the same time."""
    threads: int = 1
    """CPU threads that one run may use."""
    precision: str = "auto"
    """auto (the fastest that passed its gates on hardware like this), fp32, fp16 or int8."""
    cpu: str = ""
    """The kind of this CPU, as artifacts name the hardware that they were proven on."""
    careful_int8: bool = False
    """True where this CPU overflows when it multiplies 8-bit numbers, so that ONNX Runtime must go another way."""
    cuda: CudaSettings = field(default_factory=CudaSettings)
    """What holds instead where CUDA runs them."""


def check_distributions() -> str:
    """The installed ONNX Runtime distribution, as "name version".

    Raises EngineUnavailable when there is none, or when both are there: they overwrite each other's files.
    """
    found = {}
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if len(found) == 2:
        raise EngineUnavailable(
            "both onnxruntime and onnxruntime-gpu are installed, and they overwrite each other's files: "
            "pip uninstall both, then install one of convserve[server] and convserve[server-cpu]"
        )
    if not found:
        raise EngineUnavailable(
            "ONNX Runtime is not installed: pip install 'convserve[server]' (or [server-cpu], a small download)"
        )
    return " ".join(*found.items())


def choose_provider(wanted: str) -> tuple[str, str]:
    """The execution provider to ask for, and the reason in words.

    "auto" takes CUDA only where a CUDA driver with a device answers; what a session then really got is checked when it
    is made. Raises EngineUnavailable for "cuda" where CUDA cannot work.
    """
    if wanted == "cpu":
        return CPU, "asked for"
    obstacle = _cuda_obstacle()
    if obstacle is None:
        return CUDA, "asked for" if wanted == "cuda" else "a CUDA device answers"
    if wanted == "cuda":
        raise EngineUnavailable(
            f"--provider cuda was asked for, but {obstacle}. Mend that, or start with --provider auto or cpu"
        )
    return CPU, obstacle


def _cuda_obstacle() -> str | None:
    """Why CUDA cannot work here; None where it can, as far as can be seen without a session."""
    import onnxruntime

    # ONNX Runtime lists the CUDA provider wherever its wheel was built with it, driver or not, so the list can
    # only rule CUDA out. The driver itself is asked.
    if CUDA not in onnxruntime.get_available_providers():
        return "the installed ONNX Runtime is built without CUDA (the extras server and cuda together have it)"
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return f"there is no NVIDIA driver ({library} does not load)"
    count = ctypes.c_int(0)
    if (error := driver.cuInit(0)) or (error := driver.cuDeviceGetCount(ctypes.byref(count))):
        return f"the NVIDIA driver answers with error {error}"
    if not count.value:
        return "the NVIDIA driver sees no device"
    onnxruntime.preload_dlls()
    return None


class Session:
    """One model in ONNX Runtime, on one provider. run() may be called from several threads at once.

    ``model`` is the content of an ONNX file, or its path where its weights may lie beside it. Without a
    description, the graph's own inputs and outputs are taken.

    Raises ModelBroken when ONNX Runtime does not take the model, its inputs and outputs are not the described ones, or
    one is no tensor of the protocol; EngineUnavailable when another provider than the wanted one would run it.
    """

    def __init__(
        self,
        model: bytes | Path,
        description: Description | None,
        provider: str,
        threads: int,
        provider_options: Mapping[str, str] | None = None,
        *,
        careful: bool = False,
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        # An idle server must use no CPU: threads of the pool sleep instead of spinning for the next run.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if careful:
            options.add_session_config_entry("session.x64quantprecision", "1")
        options.log_severity_level = 3
        # ONNX Runtime takes no copy of weights that it uses as they are: they live as long as the session.
        content, self._weights = _read(model, options) if isinstance(model, Path) else (model, {})
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=[(provider, dict(provider_options or {}))]
            )
        except Exception as error:
            raise ModelBroken(f"ONNX Runtime does not load it: {_first_line(error)}") from error
        got = self._session.get_providers()[0]
        if got != provider:
            # ONNX Runtime itself only logs this and runs on the CPU.
            raise EngineUnavailable(f"{provider} was asked for, but ONNX Runtime fell back to {got}")
        self.provider = provider
        self.native = self._session
        """ONNX Runtime's own."""
        self.graphs = (provider_options or {}).get("enable_cuda_graph") == "1"
        """Whether runs that bind their buffers may be captured as CUDA graphs."""
        self._run_options: tuple[Any, ...] = (_never_captured(),) if self.graphs else ()
        if description is not None:
            self._check_signature(description)
        graph = self._session
        self.inputs = description.inputs if description else _specs("input", graph.get_inputs())
        self.outputs = description.outputs if description else _specs("output", graph.get_outputs())
        self.axes = [node.shape for node in (*graph.get_inputs(), *graph.get_outputs())]
        """Of every input and output: a length, the name of a free axis, or None where it has no name."""
        self._inputs = [i.name for i in self.inputs]
        self._outputs = [o.name for o in self.outputs]
        if any(s.datatype == "BF16" for s in (*self.inputs, *self.outputs)):
            self._session = BFloat16Session(graph, self.inputs, self.outputs)

    def _check_signature(self, description: Description) -> None:
        for kind, described, real in (
            ("input", description.inputs, self._session.get_inputs()),
            ("output", description.outputs, self._session.get_outputs()),
        ):
            seen = {r.name: _spec(r) for r in real}
            if {d.name for d in described} != set(seen):
                raise ModelBroken(
                    f"the manifest names the {kind}s {[d.name for d in described]}, the model has {list(seen)}"
                )
            for spec in described:
                other = seen[spec.name]
                if other.datatype != spec.datatype or not _compatible(other.shape, spec.shape):
                    raise ModelBroken(
                        f"the manifest says that {kind} '{spec.name}' is {spec.datatype} {list(spec.shape)}, "
                        f"the model says {other.datatype} {list(other.shape)}"
                    )

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run once. Inputs and outputs are in the order of the description."""
        named = dict(zip(self._inputs, inputs, strict=True))
        outputs: list[Array] = self._session.run(self._outputs, named, *self._run_options)
        return outputs


def _read(model: Path, options: Any) -> tuple[bytes, dict[str, bytes]]:
    """The content of a model, and the weights that lie beside it, which ``options`` tell of. Raises ModelBroken."""
    try:
        content = model.read_bytes()
    except OSError as error:
        raise ModelBroken(f"{model.name} cannot be read: {error.strerror}") from error
    if weights := weights_beside(model, content):
        names, contents = list(weights), list(weights.values())
        options.add_external_initializers_from_files_in_memory(names, contents, [len(c) for c in contents])
    return content, weights


def _never_captured() -> Any:
    """Run options for buffers that move: a replay would use those of the capture."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "-1")
    return options


def _spec(node: Any) -> TensorSpec:
    shape = tuple(d if isinstance(d, int) else -1 for d in node.shape)
    return TensorSpec(node.name, _DATATYPES.get(node.type, node.type), shape)


def _specs(kind: str, nodes: Sequence[Any]) -> tuple[TensorSpec, ...]:
    for node in nodes:
        if node.type not in _DATATYPES:
            raise ModelBroken(
                f"its {kind} '{node.name}' is {node.type}, and the protocol carries only tensors of "
                f"{', '.join(_DATATYPES.values())}: change the model so that it takes and gives these"
            )
    return tuple(_spec(node) for node in nodes)


def _compatible(real: tuple[int, ...], described: tuple[int, ...]) -> bool:
    return len(real) == len(described) and all(r in (-1, d) for r, d in zip(real, described, strict=True))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class SessionInstance:
    """A run slot of a session, with batch buffers of its own that rows are gathered in."""

    def __init__(self, session: Session, description: Description, max_batch_size: int) -> None:
        self._session = session
        self._batched = description.batched
        self.gathering_seconds = 0.0
        self._buffers: list[Array | None] = [
            np.empty((max_batch_size, *i.shape[1:]), NUMPY_TYPES[i.datatype])
            if description.batched and -1 not in i.shape[1:] and i.datatype in NUMPY_TYPES
            else None
            for i in description.inputs
        ]

    def run(self, requests: Sequence[tuple[Array, ...]]) -> Sequence[Array]:
        """Run the rows of all requests as one batch.

        They are copied once, from where they were received into the batch buffer: received bytes lie unaligned.
        """
        started = time.perf_counter()
        gathered = []
        for buffer, arrays in zip(self._buffers, zip(*requests, strict=True), strict=True):
            if not self._batched:
                gathered.append(np.require(arrays[0], requirements="A"))
            elif buffer is None:
                gathered.append(np.concatenate(arrays))
            else:
                rows = sum(len(a) for a in arrays)
                gathered.append(np.concatenate(arrays, out=buffer[:rows]))
        self.gathering_seconds = time.perf_counter() - started
        return self._session.run(gathered)
