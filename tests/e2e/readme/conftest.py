"""What the README's reader has before them: a folder with pictures and artifacts, and a server that runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .blocks import README, blocks

ROOT = Path(__file__).resolve().parents[3]
ADDRESS = "127.0.0.1:8001"
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """The reader's folder, with our commands at hand."""

    folder: Path
    address: str = ADDRESS

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
        return os.environ | {"PATH": path, "CONVSERVE_SERVER": self.address, "PYTHONWARNINGS": "error"}

    def run(self, command: list[str], *, cwd: Path | None = None) -> str:
        """What a command prints; fails the test with it where the command fails."""
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            pytest.fail(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}", pytrace=False)
        return done.stdout

    @contextmanager
    def serving(self, command: list[str]) -> Iterator[str]:
        """The address of a server that a command starts, on a free port; it must stop on SIGTERM with exit code 0."""
        port_file = self.folder / f"port-{time.monotonic_ns()}"
        settings = {"CONVSERVE_LISTEN": "127.0.0.1:0", "CONVSERVE_PORT_FILE": str(port_file)}
        log = self.folder / "server.log"
        with (
            log.open("w") as output,
            subprocess.Popen(
                command, cwd=self.folder, env=self.environment | settings, stdout=output, stderr=output
            ) as process,
        ):
            end = time.monotonic() + READY_SECONDS
            while not port_file.exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            try:
                assert port_file.exists(), f"{' '.join(command)} did not get ready:\n{log.read_text()}"
                yield f"127.0.0.1:{int(port_file.read_text())}"
            finally:
                process.send_signal(signal.SIGTERM)
                code = process.wait(30)
        assert code == 0, log.read_text()


@pytest.fixture(scope="package")
def place(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The files that the README speaks of, and a server that has the README's artifacts."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(exported, folder / "artifacts")
    photographs = resources.files("skimage") / "data"
    with Image.open(Path(str(photographs / "chelsea.png"))) as cat:
        cat.save(folder / "cat.jpg", quality=95)
    (folder / "pictures").mkdir()
    for name in ("cifar10_00_3.png", "cifar10_01_8.png", "cifar10_03_0.png", "cifar10_04_6.png"):
        shutil.copy(str(_foolbox() / "data" / name), folder / "pictures")
    np.save(folder / "batch.npy", np.zeros((4, 3, 32, 32), np.float32))
    shipped = ROOT / "export" / "convserve_export" / "checkpoints"
    for suffix in (".safetensors", ".labels.txt"):
        shutil.copy(shipped / f"simple_cnn_cifar10{suffix}", folder / f"mine{suffix}")
    for block in blocks(README.read_text(encoding="utf-8")):
        if block.language == "python" and block.text.startswith("# my_network.py\n"):
            (folder / "my_network.py").write_text(block.text, encoding="utf-8")
    here = Place(folder)
    with here.serving([sys.executable, "-m", "convserve_server", "--repository", "artifacts"]) as address:
        yield Place(folder, address)


def _foolbox() -> Path:
    # Importing it would import much else, for four pictures.
    return Path(sysconfig.get_path("purelib")) / "foolbox"
