"""The benchmarks and the soak run from end to end, with hardly any load; how fast things were is never asserted."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from convserve_proto import vision_pb2
from support.servers import ServerProcess

from benchmarks import affine_model
from benchmarks.soak_calls import CLASSIFY, classify_request, pictures
from benchmarks.soak_client import Findings, work

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(240)
def test_one_command_measures_servers_in_turn_and_gives_verdicts(exported: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "fast", "echo", "in-process"]
    command += ["--repository", str(exported), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    (measured,) = results["rounds"]
    assert not measured["failures"]
    assert measured["servers"]["fast"]["rate"]["errors"] == 0
    assert {v["bar"]: v["met"] for v in results["verdicts"]}["throughput >= 4 x KServe"] is None
    assert (tmp_path / "results.md").read_text() in done.stdout
    assert (tmp_path / "results.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("transport", ["fast", "standard"])
def test_a_moment_of_mixed_load_gives_every_call_its_own_answer(transport: str, exported: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    repository.mkdir()
    for model in ("simple_cnn", "convolve"):
        (repository / model).symlink_to(exported / model)
    affine_model.publish(repository)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    with ours, theirs, ServerProcess(repository, tmp_path, "--provider", "cpu", "--transport", transport) as server:
        work(server.address, 1, 3, 1.5, _classes(server.address), theirs)
        findings: Findings = ours.recv()
        assert server.stop() == 0
    assert findings.sentences == []
    seen = " ".join(findings.outcomes)
    assert all(what in seen for what in ("infer, patient, OK", "classify, patient, OK", "convolve, patient, OK"))
    assert "CANCELLED" in seen
    assert "ERROR" not in server.log.read_text()


def _classes(address: str) -> dict[bytes, str]:
    import grpc

    with grpc.insecure_channel(address) as channel:
        classify = channel.unary_unary(CLASSIFY, lambda b: b, vision_pb2.ClassifyResponse.FromString)
        replies = {pixels: classify(classify_request([pixels]), timeout=20) for pixels in pictures(6)}
    return {pixels: reply.results[0].classifications[0].label for pixels, reply in replies.items()}
