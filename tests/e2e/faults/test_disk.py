"""The disk is full: what cannot be written is said, and calls are answered all the same."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from convserve_proto import open_inference as oip
from convserve_server.errors import InvalidRequest
from convserve_server.rpc.regions import Regions
from support.artifacts import write_sum
from support.open_inference import ask, refused
from support.requests import infer_request
from support.servers import ServerProcess
from support.survival import answers_rightly, surviving

FULL = Path("/dev/full")
ROOM = 64 << 10

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with hardly any room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_traces_that_cannot_be_written_harm_no_call(tmp_path: Path, kind: str) -> None:
    with (
        surviving(tmp_path, "--transport", kind, "--trace-file", str(FULL)) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        request = oip.TraceSettingRequest()
        request.settings["trace_level"].value.append("TIMESTAMPS")
        request.settings["trace_rate"].value.append("1")
        ask(channel, "TraceSetting", request)
        answers_rightly(server.address)
        log = server.log.read_text()
        assert "a trace cannot be written to /dev/full" in log
        assert "No space left on device" in log


def test_a_log_that_cannot_be_written_harms_no_call(tmp_path: Path, kind: str) -> None:
    write_sum(tmp_path / "models")
    port_file = tmp_path / "port"
    command = [sys.executable, "-m", "convserve_server", "--repository", str(tmp_path / "models"), "--provider", "cpu"]
    command += ["--listen", "127.0.0.1:0", "--port-file", str(port_file), "--transport", kind, "--log-level", "debug"]
    with FULL.open("wb") as full:
        process = subprocess.Popen(command, stdout=full, stderr=full)
    try:
        limit = time.monotonic() + 60
        while not port_file.exists():
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        address = f"127.0.0.1:{port_file.read_text().strip()}"
        answers_rightly(address)
        with grpc.insecure_channel(address) as channel:
            bad = infer_request("sum", {"a": np.zeros((1, 3), np.float32)})
            assert refused(channel, "ModelInfer", bad)[0] is grpc.StatusCode.INVALID_ARGUMENT
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)


def test_a_port_file_that_cannot_be_written_is_a_sentence(tmp_path: Path, small_disk: Path, kind: str) -> None:
    write_sum(tmp_path / "models")
    _fill(small_disk)
    options = ["--transport", kind, "--port-file", str(small_disk / "port")]
    with ServerProcess(tmp_path / "models", tmp_path, *options) as server:
        assert server.process.wait(30) == 1
    log = server.log.read_text()
    assert f"the port file {small_disk / 'port'} cannot be written: No space left on device" in log
    assert "Traceback" not in log
    assert [p.name for p in small_disk.iterdir() if "port" in p.name] == []


def test_shared_memory_without_room_is_an_error_and_no_half_answer(small_disk: Path) -> None:
    """There is less memory than the region is long: writing would stop in the middle, without an error."""
    file = small_disk / "region"
    with file.open("wb") as sparse:
        sparse.truncate(10 * ROOM)
    regions = Regions(small_disk)
    regions.register("r", "/region", 0, 10 * ROOM)
    with pytest.raises(InvalidRequest, match="No space left on device"):
        regions.write("r", 0, b"x" * (5 * ROOM))
    regions.unregister("")


@pytest.mark.timeout(240)
def test_an_export_to_a_full_disk_publishes_nothing_and_leaves_nothing(small_disk: Path) -> None:
    command = [sys.executable, "-m", "convserve_export", "--out", str(small_disk / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    left = [str(p) for p in small_disk.rglob("*") if p.is_file() or p.name.isdecimal()]
    assert left == [], "no version, whole or in part"


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
    raise AssertionError(f"{disk} takes whatever one writes")
