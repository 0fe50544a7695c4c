"""Everything beyond plain inference works with Triton's own client, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from convserve_server.rpc.metadata_service import EXTENSIONS
from support.artifacts import write_sum
from support.servers import ServerProcess


@pytest.fixture(scope="module", params=["standard", "fast"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a client saw of a server that has one model and loads what it is told to."""
    pytest.importorskip("tritonclient")
    folder = tmp_path_factory.mktemp("triton")
    model = write_sum(folder / "models") / "model.onnx"
    options = ["--repository-mode", "explicit", "--allow-unverified", "--trace-file", str(folder / "traces")]
    with ServerProcess(folder / "models", folder, *options, "--transport", request.param) as server:
        script = Path(__file__).with_name("triton_extensions.py")
        command = [sys.executable, str(script), server.address, str(model)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        traces = [json.loads(line)["request_id"] for line in (folder / "traces").read_text().splitlines()]
    return {**json.loads(done.stdout), "traces": traces}


def test_models_are_listed_loaded_configured_uploaded_and_unloaded(seen: Any) -> None:
    control = seen["control"]
    assert control["before"] == [["sum", "", "UNAVAILABLE"]]
    assert control["loaded"] == [[["sum", "1", "READY"]], True]
    assert control["config"] == [5, "onnxruntime_onnx", [[2], [2]]]
    assert control["uploaded"] == [[2, 4], [6, 8]]
    assert control["unloaded"] is False
    assert control["unknown"].startswith("StatusCode.INTERNAL: failed to load 'nope'")


def test_streams_answer_in_order_with_errors_in_band(seen: Any) -> None:
    assert seen["stream"]["ids"] == [*map(str, range(50)), "last"]
    assert seen["stream"]["right"]
    assert "'nope' is not found" in seen["stream"]["error"]
    assert seen["asyncio"] == ["0", "1", "2", "3", "4"]


def test_shared_memory_carries_tensors_and_that_of_cuda_is_refused(seen: Any) -> None:
    memory = seen["memory"]
    assert memory["status"] == {"name": "both", "key": "/convserve_test", "byte_size": "48"}
    assert memory["total"] == [[2, 4], [6, 8]]
    assert memory["again"].startswith("StatusCode.ALREADY_EXISTS")
    assert memory["left"] == []
    assert memory["cuda"].startswith("StatusCode.UNIMPLEMENTED")


def test_classification_priority_timeout_and_sequences(seen: Any) -> None:
    assert seen["classes"] == "4.000000:1"
    assert seen["urgent"] == [[2, 4], [6, 8]]
    assert seen["sequence"].startswith("StatusCode.UNIMPLEMENTED")


def test_statistics_settings_and_extensions(seen: Any) -> None:
    # Loaded anew with another config, its counts began again: 2 + 51 + 5 + 1 + 1 requests of 2 rows.
    assert seen["statistics"] == [120, 60]
    assert seen["settings"] == {"trace": ["TIMESTAMPS"], "model": ["1"], "log": {"bool_param": False}}
    assert seen["traces"] == ["traced"]
    assert seen["extensions"] == list(EXTENSIONS)
