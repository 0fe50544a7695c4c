"""How the CUDA execution provider is set up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CudaSettings:
    """What matters where CUDA runs the models."""

    instances: int = 2
    """Sessions of one model: while one computes, another copies."""
    conv_search: str = "heuristic"
    """How cuDNN's convolutions are chosen: heuristic (milliseconds a shape), exhaustive (seconds a shape), default."""
    tf32: bool = False
    """Round the factors of matrix products to 10 bits: faster, and no longer what was verified at the export."""
    graphs: bool = False
    """Try CUDA graphs for each batch size, and keep those that are right and faster."""


def provider_options(settings: CudaSettings, *, graphs: bool) -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider."""
    return {
        "cudnn_conv_algo_search": settings.conv_search.upper(),
        "cudnn_conv_use_max_workspace": "1",
        # The batch sizes are few and fixed, so there is nothing to round up for.
        "arena_extend_strategy": "kSameAsRequested",
        # Copies in a stream of their own may overtake the kernels that need them.
        "do_copy_in_default_stream": "1",
        "use_tf32": str(int(settings.tf32)),
        "enable_cuda_graph": str(int(graphs)),
    }
