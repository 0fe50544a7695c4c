"""The README's section on containers, command by command, as its reader goes through it."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from e2e.readme.blocks import README, section, shape

from .engine import ROOT
from .stack import Stack, eventually

pytestmark = pytest.mark.timeout(1800)

UP = "docker compose up"


@contextmanager
def going(stack: Stack, command: str) -> Iterator[None]:
    """A command in a terminal of its own, from when it says how to call until Ctrl-C."""
    log = stack.pictures / "up.log"
    with (
        log.open("w") as output,
        subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=ROOT,
            env=stack.engine.environment | stack.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            eventually(lambda: "or with any gRPC client, at 127.0.0.1:8001" in log.read_text(), 120, "the last lines")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_every_command_of_the_readme_works_and_prints_what_it_says(images: Stack) -> None:
    commands = section(README.read_text(encoding="utf-8"), "Containers")
    assert commands[0].text == UP
    path = os.pathsep.join([sysconfig.get_path("scripts"), images.engine.environment["PATH"]])
    try:
        with going(images, UP):
            for command in commands[1:]:
                printed = images.run(*images.engine.reach, "bash", "-c", command.text, PATH=path)
                shapes = {shape(line) for line in printed.splitlines()}
                assert [line for line in command.output if shape(line) not in shapes] == [], printed
    finally:
        images.down()
    assert (images.pictures / "edges.png").is_file()
