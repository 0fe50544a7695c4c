"""The ONNX project's own backend test cases, each loaded, called over gRPC and unloaded again."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import grpc
import numpy as np
import pytest
from e2e.onnx_cases.cases import collect
from e2e.onnx_cases.comparing import EQUAL, FAILED, OTHER, outcome
from support.servers import ServerProcess

REPORT = os.environ.get("ONNX_CASES_REPORT")
"""A file to write what became of each case to."""


# About half a minute for some two thousand models; more on a busy machine.
@pytest.mark.timeout(600)
def test_every_case_that_onnx_runtime_runs_and_the_protocol_can_express_is_served_and_equal(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    arguments = ["--repository-mode", "explicit", "--allow-unverified", "--provider", "cpu"]
    outcomes: dict[str, tuple[str, str]] = {}
    with (
        ServerProcess(models, tmp_path, *arguments, "--instances", "1", "--threads", "1") as server,
        grpc.insecure_channel(server.address, [("grpc.max_receive_message_length", 64 << 20)]) as channel,
        np.errstate(all="ignore"),
    ):
        for case in collect():
            outcomes[f"{case.kind}/{case.name}"] = outcome(case, channel, models)
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text().replace("a run of", "")
    if REPORT:
        Path(REPORT).write_text(json.dumps(outcomes, indent=1))
    words = Counter(word for word, _ in outcomes.values())
    assert {name: reason for name, (word, reason) in outcomes.items() if word == FAILED} == {}, words
    # Newer versions of onnx bring more cases; a collector that finds none proves nothing.
    assert words[EQUAL] > 1000, words
    assert words[OTHER] < 0.02 * words[EQUAL], words
