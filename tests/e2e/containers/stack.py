"""A Compose project of the tests: its commands, its containers, and calls to it from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engine import HERE, Engine

PATIENCE = 4
PROFILES = ("client", "gpu", "observe", "scale")


@dataclass
class Load:
    """What the callers of load.py saw; empty until the load has ended."""

    answered: int = 0
    longest: float = 0.0
    versions: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.answered} calls answered, {len(self.failures)} lost, the longest took {self.longest:.2f} s"


class Stack:
    """One Compose project. Nothing of it outlives down()."""

    def __init__(self, engine: Engine, project: str, pictures: Path) -> None:
        self.engine, self.project, self.pictures = engine, project, pictures
        self.environment = {
            "COMPOSE_PROJECT_NAME": project,
            "CONVSERVE_TAG": "test",
            "CONVSERVE_PICTURES": str(pictures),
        }

    def run(self, *command: str, fails: bool = False, **environment: str) -> str:
        """What a command prints, errors included. It must succeed, or fail where ``fails`` is set."""
        done = self.engine.run(command, environment=self.environment | environment)
        assert bool(done.returncode) == fails, f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def compose(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """docker compose, in this project."""
        return self.run("docker", "compose", *arguments, fails=fails, **environment)

    def docker(self, *arguments: str, fails: bool = False) -> str:
        """docker, without surrounding blanks."""
        return self.run("docker", *arguments, fails=fails).strip()

    def outside(self, *command: str, fails: bool = False) -> str:
        """A command that calls published ports, with this environment's convserve at hand."""
        return self.run(*self.engine.reach, *command, fails=fails)

    def convserve(self, *arguments: str, fails: bool = False) -> str:
        """The client's command line, outside of any container."""
        return self.outside(sys.executable, "-m", "convserve_client", *arguments, fails=fails)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self.compose("ps", "--quiet", "--no-trunc", service).split()

    def inspect(self, what: str) -> dict[str, Any]:
        """What Docker knows of a container or an image."""
        [known] = json.loads(self.docker("inspect", what))
        return dict(known)

    def kill(self, container: str) -> None:
        """End the container's process as a crash does. (docker kill would count as a wish to stop.)"""
        pid = self.inspect(container)["State"]["Pid"]
        self.docker(
            *("run", "--rm", "--network", "none", "--pid", "host", "--user", "0", "--entrypoint", "sh"),
            *("convserve-client:test", "-c", f"kill -9 {pid}"),
        )

    def crash(self, container: str) -> None:
        """Kill it, and see that it is started again and becomes healthy."""
        before = self.inspect(container)["RestartCount"]
        self.kill(container)
        eventually(lambda: bool(self.inspect(container)["RestartCount"] > before), 30, "it was started again")
        eventually(lambda: self.healthy(container), 60, "it is healthy again")

    def healthy(self, container: str) -> bool:
        return bool(self.inspect(container)["State"]["Health"]["Status"] == "healthy")

    @contextmanager
    def load(self, address: str) -> Iterator[Load]:
        """Calls all the time while the block runs; what came of them is in the Load afterwards."""
        command = [*self.engine.reach, sys.executable, str(HERE / "load.py"), address]
        seen = Load()
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.engine.environment
        ) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "calling\n"
                yield seen
            finally:
                said, _ = process.communicate("")
        for name, value in json.loads(said).items():
            setattr(seen, name, value)

    def down(self) -> None:
        """Remove containers, networks and volumes of the project, of every profile."""
        profiles = [word for profile in PROFILES for word in ("--profile", profile)]
        self.compose(*profiles, "down", "--volumes", "--remove-orphans", "--timeout", "15", CONVSERVE_PORT="")


def eventually(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something holds; fails after a multiple of what it should take, for machines are busy at times."""
    limit = time.monotonic() + seconds * PATIENCE
    while not holds():
        assert time.monotonic() < limit, f"not within {seconds * PATIENCE:g} s: {what}"
        time.sleep(0.2)


def admin(stack: Stack, path: str) -> str:
    """What Envoy's admin interface, which only its own container reaches, answers."""
    request = f"GET {path} HTTP/1.1\\r\\nHost: envoy\\r\\nConnection: close\\r\\n\\r\\n"
    script = f"exec 3<>/dev/tcp/127.0.0.1/9901; printf '{request}' >&3; cat <&3"
    return stack.compose("exec", "-T", "envoy", "bash", "-c", script)


def calls_by_server(stack: Stack) -> dict[str, int]:
    """How many calls Envoy has sent to each server that it knows now."""
    counts = {}
    for line in admin(stack, "/clusters").splitlines():
        parts: Sequence[str] = line.strip().split("::")
        if len(parts) == 4 and parts[0] == "servers" and parts[2] == "rq_total":
            counts[parts[1]] = int(parts[3])
    return counts
