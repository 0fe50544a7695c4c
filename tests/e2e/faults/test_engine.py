"""ONNX Runtime raises in the middle of everything: who is not to blame is answered."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import grpc
import numpy as np
from onnx import helper
from support.artifacts import FLOAT, INT64, Tensors, onnx_model, write_artifact, write_sum
from support.open_inference import ask
from support.requests import infer_request, outputs_of
from support.survival import surviving

CALLS = 150
ROWS = 4
"""Of the table that is looked up in; a row beyond makes ONNX Runtime fail on the whole batch."""


def write_lookup(repository: Path) -> None:
    inputs: Tensors = {"index": (INT64, ["N"])}
    outputs: Tensors = {"row": (FLOAT, ["N"])}
    nodes = [
        helper.make_node("Constant", [], ["table"], value_floats=[10.0 * n for n in range(ROWS)]),
        helper.make_node("Gather", ["table", "index"], ["row"]),
    ]
    write_artifact(repository, "lookup", onnx_model(nodes, inputs, outputs), inputs, outputs)


def test_a_request_that_onnx_runtime_fails_on_harms_nobody_in_its_batch(tmp_path: Path, kind: str) -> None:
    write_sum(tmp_path / "models")
    write_lookup(tmp_path / "models")
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []

    def work(address: str, *, bad: bool) -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            for number in range(CALLS):
                index = np.array([ROWS + 5 if bad else number % ROWS])
                try:
                    response = ask(channel, "ModelInfer", infer_request("lookup", {"index": index}))
                except grpc.RpcError as error:
                    outcomes[f"bad {error.code().name}" if bad else f"good {error.code().name}"] += 1
                    continue
                outcomes["bad OK" if bad else "good OK"] += 1
                if outputs_of(response)["row"][0] != 10 * index[0]:
                    wrong.append(f"{index} gave {outputs_of(response)}")

    # The delay brings good and bad together into one batch.
    with surviving(tmp_path, "--transport", kind, "--max-queue-delay", "0.005", "--log-level", "warning") as server:
        threads = [threading.Thread(target=work, args=(server.address,), kwargs={"bad": n % 3 == 0}) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        log = server.log.read_text()
        server.log.write_text("")
    assert wrong == []
    assert outcomes == {"good OK": 4 * CALLS, "bad INTERNAL": 2 * CALLS}
    assert "indices element out of data bounds" in log, "the operator hears why"
    assert any(f"a run of {rows} rows failed" in log for rows in range(2, 7)), "they never shared a batch"
