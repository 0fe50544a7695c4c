"""What only a process can show: how the server starts, refuses to start, and stops."""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.cli import main
from support.artifacts import write_picky, write_sum
from support.servers import ServerProcess, call

INFER = "/inference.GRPCInferenceService/ModelInfer"


def request(value: float, rows: int = 1) -> Any:
    message = oip.ModelInferRequest(model_name="sum")
    for name in ("a", "b"):
        message.inputs.add(name=name, datatype="FP32", shape=[rows, 2])
        message.raw_input_contents.append(np.full((rows, 2), value, np.float32).tobytes())
    return message


@pytest.mark.parametrize("transport", ["standard", "fast"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_no_accepted_call_and_exits_with_0(
    tmp_path: Path, transport: str, number: int
) -> None:
    write_sum(tmp_path / "models")
    outcomes: list[str] = []
    with ServerProcess(tmp_path / "models", tmp_path, "--transport", transport) as server:
        with grpc.insecure_channel(server.address) as channel:

            def work(seed: int) -> None:
                for n in range(10_000):
                    value = float(seed * 10_000 + n)
                    try:
                        reply = call(channel, INFER, request(value), oip.ModelInferResponse)
                    except grpc.RpcError as error:
                        outcomes.append(error.code().name)
                        return
                    assert np.frombuffer(reply.raw_output_contents[0], np.float32)[0] == 2 * value

            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            code = server.stop(number)
            for thread in threads:
                thread.join(20)
        assert code == 0, server.log.read_text()
        # UNAVAILABLE: never accepted. CANCELLED: its first byte came when the door was closing; both may be retried.
        assert set(outcomes) <= {"UNAVAILABLE", "CANCELLED"}
        assert len(outcomes) == 4
        log = server.log.read_text()
        assert "Traceback" not in log
        assert "stopped" in log


def test_a_port_in_use_is_an_error_and_not_shared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sum(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with ServerProcess(tmp_path, tmp_path, "--listen", address) as server:
            assert server.process.wait(30) == 1
        assert f"cannot listen on {address}: the port is in use" in server.log.read_text()


def test_cuda_without_a_working_gpu_refuses_to_start(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    # No driver is loaded from an empty folder: the test means the same on a machine with a GPU.
    with ServerProcess(tmp_path / "models", tmp_path, "--provider", "cuda", CUDA_VISIBLE_DEVICES="-1") as server:
        assert server.process.wait(30) == 1
    log = server.log.read_text()
    assert "--provider cuda was asked for, but" in log
    assert "Traceback" not in log


def test_auto_says_which_provider_it_chose_and_why(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    with ServerProcess(tmp_path / "models", tmp_path, CUDA_VISIBLE_DEVICES="-1") as server:
        with grpc.insecure_channel(server.address) as channel:
            ask = oip.ModelMetadataRequest(name="sum")
            path = "/inference.GRPCInferenceService/ModelMetadata"
            metadata = call(channel, path, ask, oip.ModelMetadataResponse)
        assert metadata.properties["provider"] == "CPUExecutionProvider"
        assert "execution provider: CPUExecutionProvider (" in server.log.read_text()


def test_a_tampered_artifact_is_refused_and_the_others_are_served(tmp_path: Path) -> None:
    write_picky(tmp_path / "models")
    path = write_sum(tmp_path / "models") / "model.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with ServerProcess(tmp_path / "models", tmp_path) as server:
        with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
            call(channel, INFER, request(1), oip.ModelInferResponse)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "model.onnx was changed after its export" in server.log.read_text()
        assert server.stop() == 0


@pytest.mark.parametrize("there", [True, False])
def test_a_repository_without_models_is_an_error(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "models").mkdir()
    with ServerProcess(tmp_path / "models", tmp_path) as server:
        assert server.process.wait(30) == 1
    assert "there is no model in" in server.log.read_text()
    assert "convserve-export --out" in server.log.read_text()


def test_a_bad_option_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert main(["--provider", "tpu"]) == 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert capsys.readouterr().err == "convserve-server: --provider is 'tpu'; it takes auto, cpu, cuda\n"


def test_a_second_signal_ends_the_server_at_once(tmp_path: Path) -> None:
    write_sum(tmp_path / "models")
    # The call waits for company that does not come, and the first signal waits for the call.
    with (
        ServerProcess(tmp_path / "models", tmp_path, "--grace", "60", "--max-queue-delay", "50") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        infer: Any = channel.unary_unary(INFER, lambda m: m.SerializeToString(), lambda b: b)
        held = infer.future(request(1), timeout=60)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        assert server.process.poll() is None, "the accepted call was not waited for"
        assert server.stop() == 128 + signal.SIGTERM
        assert held.code() is grpc.StatusCode.UNAVAILABLE
