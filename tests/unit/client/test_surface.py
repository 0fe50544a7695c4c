"""The public names, their types at run time, and what importing them costs and touches."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import convserve_client
import pytest
from convserve_client import AsyncClient, Client

OPERATIONS = [
    "classify", "convolve", "infer",
    "is_live", "is_ready", "model_metadata", "model_ready", "models", "server_metadata",
]  # fmt: skip


def python(code: str) -> str:
    """What a fresh interpreter prints; any warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_every_public_name_is_there_and_nothing_else_is_promised() -> None:
    for name in convserve_client.__all__:
        assert getattr(convserve_client, name) is not None
    assert set(convserve_client.__all__) <= set(dir(convserve_client))
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        _ = convserve_client.Server


def test_type_checkers_and_the_interpreter_see_the_same_names() -> None:
    tree = ast.parse(Path(convserve_client.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == convserve_client._HOME_OF
    assert sorted(seen) == sorted(convserve_client.__all__)


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_both_clients_have_the_same_operations(client: type) -> None:
    public = [name for name in vars(client) if not name.startswith("_")]
    assert sorted(public) == OPERATIONS


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_have_the_same_signature_in_both_clients_and_say_what_they_do(operation: str) -> None:
    blocking, awaited = getattr(Client, operation), getattr(AsyncClient, operation)
    assert inspect.signature(blocking) == inspect.signature(awaited)
    assert "Steps" not in str(inspect.signature(blocking))
    assert inspect.signature(blocking).parameters["timeout"].kind is inspect.Parameter.KEYWORD_ONLY
    assert blocking.__doc__
    assert blocking.__doc__ == awaited.__doc__
    assert inspect.iscoroutinefunction(awaited)


def test_importing_the_client_loads_no_framework() -> None:
    code = (
        "import sys, convserve_client\n"
        "for name in convserve_client.__all__: getattr(convserve_client, name)\n"
        "import convserve_client.cli\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'convserve_server', 'convserve_export'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert python(code) == "[]\n"


def test_asking_for_health_loads_neither_numpy_nor_pillow() -> None:
    code = (
        "import sys\n"
        "from convserve_client.cli import main\n"
        "assert main(['health', '--server', '127.0.0.1:1']) == 1\n"
        "print(sorted({'numpy', 'PIL'} & set(sys.modules)))"
    )
    assert python(code) == "[]\n"


@pytest.mark.parametrize("first", ["convserve_client", "tritonclient"])
def test_the_client_lives_beside_tritonclient_in_one_process(first: str) -> None:
    pytest.importorskip("tritonclient.grpc", reason="tritonclient with its gRPC support is not installed")
    ours = "from convserve_client import Client; Client('127.0.0.1:1').close()\n"
    theirs = "import tritonclient.grpc; tritonclient.grpc.InferInput('x', [1], 'FP32')\n"
    code = ours + theirs if first == "convserve_client" else theirs + ours
    code += "from convserve_proto.open_inference import ModelInferRequest as a\n"
    code += "from tritonclient.grpc.service_pb2 import ModelInferRequest as b\n"
    code += "x = a(model_name='m').SerializeToString(); print(b.FromString(x).model_name, a is b)"
    assert python(code) == "m False\n"


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convserve_client", "--help"], check=True, capture_output=True, text=True, timeout=60
    )
    assert "classify" in done.stdout
