"""Who is measured: convserve's two transports and its peers, all with the same model and one thread a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import version_in
from benchmarks.peers.environments import NotInstallable, python_with
from benchmarks.servers import Server

FAST, STANDARD, AIO, KSERVE = "fast", "standard", "aio", "kserve"
MLSERVER, MLSERVER_PLAIN = "mlserver", "mlserver-plain"
"""With its batching, and as it comes, without."""
ECHOES = ("fast", "standard", "aio")
NAMES = (FAST, STANDARD, AIO, MLSERVER, MLSERVER_PLAIN, KSERVE)
MODEL = "simple_cnn"

_PEERS = Path(__file__).parent / "peers"
_ONNXRUNTIME = "onnxruntime==1.32.0"


def convserve(transport: str, repository: Path, extra: list[str]) -> Server:
    """Our server with one of its transports."""
    command = [sys.executable, "-m", "convserve_server", "--repository", str(repository), "--provider", "cpu"]
    command += ["--log-level", "warning", "--transport", transport, *extra]
    return Server(transport, lambda listen, spare: [*command, "--listen", listen], note=f"convserve, {transport}")


def aio(model: Path) -> Server:
    """grpc.aio and an asyncio batcher."""
    command = [sys.executable, "-m", "benchmarks.peers.aio_server", str(model)]
    return Server(AIO, lambda listen, spare: [*command, listen], note="grpc.aio + asyncio batcher")


def mlserver(name: str, model: Path, cache: Path) -> Server:
    """MLServer with a runtime for ONNX, with batching or plain. Raises NotInstallable."""
    python = python_with(cache / MLSERVER, ["mlserver==1.7.1", _ONNXRUNTIME])
    folder = cache / f"{name}-model"
    folder.mkdir(parents=True, exist_ok=True)
    # In process: on the two cores that this is measured on, its worker processes only add a hand-over.
    (folder / "settings.json").write_text(json.dumps({"parallel_workers": 0, "host": "127.0.0.1", "debug": False}))
    settings: dict[str, Any] = {
        "name": MODEL,
        "implementation": "mlserver_runtime.OnnxModel",
        "parameters": {"uri": str(model), "version": "1"},
    }
    if name == MLSERVER:
        # Its batches wait for company; 2 ms gave the highest throughput of none, 2 and 10 ms.
        settings |= {"max_batch_size": 16, "max_batch_time": 0.002}
    (folder / "model-settings.json").write_text(json.dumps(settings))

    def environment(listen: str, spare: int) -> dict[str, str]:
        port = listen.rsplit(":", 1)[1]
        return {
            "PYTHONPATH": str(_PEERS),
            "MLSERVER_GRPC_PORT": port,
            "MLSERVER_HTTP_PORT": str(spare),
            "MLSERVER_METRICS_ENDPOINT": "",
        }

    note = f"MLServer {version_in(python, 'mlserver')}{', batching' if name == MLSERVER else ''}"
    return Server(
        name, lambda listen, spare: [str(python.parent / "mlserver"), "start", str(folder)], environment, note
    )


def kserve(model: Path, cache: Path) -> Server:
    """KServe's Python server. Raises NotInstallable."""
    python = python_with(cache / KSERVE, ["kserve", _ONNXRUNTIME])

    def command(listen: str, spare: int) -> list[str]:
        port = listen.rsplit(":", 1)[1]
        options = ["--http_port", str(spare), "--grpc_port", port, "--workers", "1"]
        return [str(python), str(_PEERS / "kserve_server.py"), *options, str(model)]

    return Server(KSERVE, command, note=f"KServe {version_in(python, 'kserve')}")


def echo(kind: str) -> Server:
    """A method that answers at once, by "fast", "standard" or "aio"."""
    command = [sys.executable, "-m", "benchmarks.echo_server", kind]
    return Server(f"echo-{kind}", lambda listen, spare: [*command, listen])


def contenders(
    wanted: tuple[str, ...], repository: Path, model: Path, cache: Path, extra: list[str]
) -> tuple[list[Server], dict[str, str]]:
    """The servers that can be measured here, and for the others why not. ``extra`` are options of our server."""
    makers: dict[str, Callable[[], Server]] = {
        FAST: lambda: convserve("fast", repository, extra),
        STANDARD: lambda: convserve("standard", repository, extra),
        AIO: lambda: aio(model),
        MLSERVER: lambda: mlserver(MLSERVER, model, cache),
        MLSERVER_PLAIN: lambda: mlserver(MLSERVER_PLAIN, model, cache),
        KSERVE: lambda: kserve(model, cache),
    }
    found, missing = [], {}
    for name in wanted:
        if name in makers:
            try:
                found.append(makers[name]())
            except NotInstallable as error:
                missing[name] = f"skipped: it cannot be installed here ({error})"
    return found, missing
