"""Server and client need no right to write but in a temp folder, no capability and no home; and they leave nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support import confinement
from support.artifacts import write_sum
from support.confinement import Confined

pytestmark = [
    pytest.mark.skipif(bool(confinement.missing()), reason=confinement.missing()),
    pytest.mark.timeout(300),
]

READY_SECONDS = 60.0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="convserve-rights-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "temp").mkdir()
        yield folder


@pytest.fixture
def repository(open_folder: Path) -> Path:
    folder = open_folder / "artifacts"
    write_sum(folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


@contextmanager
def serving(confined: Confined, repository: Path, *options: str) -> Iterator[tuple[int, str, Path]]:
    """Process, address and log of a confined server; it must stop with exit code 0."""
    words = [sys.executable, "-m", "convserve_server", "--repository", str(repository), "--listen", "127.0.0.1:0"]
    words += ["--port-file", str(confined.temp / "port"), *options]
    log = repository.parent / "server.log"
    with log.open("w") as output, subprocess.Popen(confined.command(*words), stdout=output, stderr=output) as process:
        try:
            port = confined.seen_by(process.pid) / "port"
            limit = time.monotonic() + READY_SECONDS
            while not port.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < limit, f"not ready: {log.read_text()}"
                time.sleep(0.05)
            yield process.pid, f"127.0.0.1:{port.read_text().strip()}", log
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()


def status(process: int) -> dict[str, str]:
    """What the kernel says of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_confinement_holds(open_folder: Path) -> None:
    """Else the test below would prove nothing: only the temp folder takes a file."""
    confined = Confined(open_folder / "temp")
    script = (
        "for folder in / /tmp /var/tmp /dev/shm $TMPDIR; do touch $folder/x 2>/dev/null && echo $folder; done; true"
    )
    done = subprocess.run(confined.command("sh", "-c", script), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(confined.temp)]


@pytest.mark.parametrize(
    "options",
    [("--transport", "fast"), ("--transport", "standard"), ("--workers", "2", "--repository-mode", "poll")],
    ids=["fast", "standard", "workers"],
)
def test_server_and_client_run_with_minimal_rights_and_write_only_what_they_are_told_to(
    open_folder: Path, repository: Path, options: tuple[str, ...]
) -> None:
    ones = open_folder / "ones.npy"
    np.save(ones, np.ones((3, 2), np.float32))
    ones.chmod(0o644)
    confined = Confined(open_folder / "temp")
    with serving(confined, repository, *options) as (process, address, log):
        assert status(process)["Uid"].split() == [str(confinement.NOBODY)] * 4
        assert int(status(process)["CapEff"], 16) == int(status(process)["CapBnd"], 16) == 0
        assert status(process)["NoNewPrivs"] == "1"

        inputs = [word for name in "ab" for word in ("--input", f"{name}={ones}")]
        words = [sys.executable, "-m", "convserve_client", "infer", "sum", "--server", address, *inputs]
        called = subprocess.run(confined.command(*words), capture_output=True, text=True, timeout=60)
        assert called.returncode == 0, called.stderr
        assert "total: float32 [3, 2]" in called.stdout

        # A tmpfs is new and empty: what is in it was written by the server.
        assert {path.name for path in confined.seen_by(process).rglob("*")} == {"port"}
    assert "Traceback" not in log.read_text()
    assert "Read-only" not in log.read_text()
