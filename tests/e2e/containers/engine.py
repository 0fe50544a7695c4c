"""A Docker engine for the tests: the one beside this repository where there is one, else the machine's own."""

from __future__ import annotations

import fcntl
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BESIDE = ROOT.parent / "shared" / "engine" / "engine.sh"
HERE = Path(__file__).resolve().parent
BASE_IMAGES = ("debian:bookworm-slim", "envoyproxy/envoy:v1.40-latest")
SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class NoEngine(Exception):
    """No container can be run here; the message says why."""


class Engine:
    """The machine's own Docker."""

    reach: tuple[str, ...] = ()
    """Put before a command that calls what containers publish on loopback."""
    build_files: tuple[Path, ...] = ()
    """Compose files that a build needs beside the project's."""

    def __init__(self) -> None:
        self.environment: dict[str, str] = {**os.environ, "COMPOSE_MENU": "false", "NO_COLOR": "1"}

    def prepare(self) -> None:
        """Get ready to build. Raises NoEngine."""
        for command in (["docker", "version"], ["docker", "compose", "version"]):
            try:
                answer = self.run(command, timeout=20)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise NoEngine(f"{shlex.join(command)} does not work here: {error}") from error
            if answer.returncode:
                raise NoEngine(f"{shlex.join(command)} does not work here: {answer.stdout.strip()[-300:]}")

    def built(self) -> None:
        """Get ready to run what was built."""

    def stop(self) -> None:
        """Leave nothing behind that prepare() has started."""

    def run(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout: float = 1200
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this engine; what it prints, errors included, is in stdout."""
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )


class EngineBeside(Engine):
    """An engine with base images of its own, for machines that reach no image registry; its script explains itself."""

    reach = (str(BESIDE), "in-run")
    build_files = (HERE / "compose.build.yml",)

    def prepare(self) -> None:
        if os.geteuid():
            raise NoEngine("starting a Docker engine takes root")
        for line in self._script("env").splitlines():
            for assignment in shlex.split(line.removeprefix("export ")):
                name, _, value = assignment.partition("=")
                self.environment[name] = value.replace("$PATH", os.environ["PATH"])
        # Set up anew only where it has to be: new base images would void the build cache.
        if not (Path("/usr/sbin/dockerd").exists() and self._has_images()):
            self._script("setup")
        self.environment |= {"PIPCONF": self._script("wheels").strip(), "CA_FILE": SYSTEM_CERTIFICATES}

    def _has_images(self) -> bool:
        try:
            self._script("start", "build")
        except NoEngine:
            return False
        return self.run(["docker", "image", "inspect", *BASE_IMAGES]).returncode == 0

    def built(self) -> None:
        self._script("start", "run")

    def stop(self) -> None:
        self._script("stop")

    def _script(self, *arguments: str) -> str:
        # Files, not pipes: the daemons that the script starts keep what they inherit.
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(
                [str(BESIDE), *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=errors, timeout=900
            )
            output.seek(0)
            errors.seek(0)
            said, complaints = output.read(), errors.read()
        if done.returncode:
            raise NoEngine(f"engine.sh {arguments[0]} failed: {(said + complaints).strip()[-600:]}")
        return said


@contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine that is ready to build, for one test run of this machine at a time. Raises NoEngine."""
    engine = EngineBeside() if BESIDE.exists() else Engine()
    place = Path(tempfile.gettempdir()) / f"convserve-containers-{os.geteuid()}.lock"
    with place.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            engine.prepare()
            yield engine
        finally:
            engine.stop()
