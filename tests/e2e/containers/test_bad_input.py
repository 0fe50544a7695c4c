"""What goes wrong around a container ends in a sentence, and in an exit code or a restart that makes sense."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .stack import Stack, eventually

pytestmark = pytest.mark.timeout(1800)

CONTAINED = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")


def last_line(text: str) -> str:
    """The last line that is no log line of an orderly stop."""
    return [line for line in text.splitlines() if not line.endswith("stopped")][-1]


@pytest.fixture
def artifacts(stack: Stack, tmp_path: Path) -> Path:
    """A copy of what was exported, which a test may spoil."""
    server = stack.containers("server")[0]
    stack.docker("cp", f"{server}:/artifacts", str(tmp_path))
    tmp_path.chmod(0o755)
    return tmp_path / "artifacts"


def serve(stack: Stack, folder: Path) -> str:
    """What a server says that cannot start with this folder."""
    return stack.docker("run", "--rm", *CONTAINED, "-v", f"{folder}:/artifacts:ro", "convserve-server:test", fails=True)


def test_a_server_without_a_volume_says_how_to_export(stack: Stack) -> None:
    said = stack.docker("run", "--rm", *CONTAINED, "convserve-server:test", fails=True)
    assert last_line(said).startswith("convserve-server: there is no model in /artifacts; export one:")


def test_a_stack_without_artifacts_waits_for_some_and_is_not_ready(stack: Stack, tmp_path: Path) -> None:
    name = f"{stack.project}-empty"
    tmp_path.chmod(0o755)
    stack.docker(
        *("run", "--detach", "--name", name, *CONTAINED, "-e", "CONVSERVE_REPOSITORY_MODE=poll"),
        *("-v", f"{tmp_path}:/artifacts:ro", "convserve-server:test"),
    )
    try:
        eventually(lambda: "not ready until there is one" in stack.docker("logs", name), 30, "it says what it lacks")
        assert "is not ready" in stack.docker("exec", name, "convserve", "health", fails=True)
    finally:
        stack.docker("rm", "--force", name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take a folder away from user 10001")
def test_a_volume_that_cannot_be_read_or_written_is_named(stack: Stack, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert last_line(serve(stack, tmp_path)) == (
        "convserve-server: the model repository at /artifacts cannot be read: Permission denied; "
        "let the user that the server runs as read it"
    )
    said = stack.docker("run", "--rm", *CONTAINED, "-v", f"{tmp_path}:/artifacts", "convserve-export:test", fails=True)
    assert last_line(said) == "convserve-export: /artifacts cannot be written to: Permission denied"


def test_a_broken_artifact_is_refused_and_the_others_are_served(stack: Stack, artifacts: Path) -> None:
    damage(artifacts / "simple_cnn")
    name = f"{stack.project}-broken"
    stack.docker(
        "run", "--detach", "--name", name, *CONTAINED, "-v", f"{artifacts}:/artifacts:ro", "convserve-server:test"
    )
    try:
        eventually(
            lambda: stack.docker("logs", name).endswith("ready, 1 refused: see above"), 30, "the server is ready"
        )
        log = stack.docker("logs", name)
        assert "refused /artifacts/simple_cnn/1: model.onnx" in log
        assert "serving convolve version 1" in log
    finally:
        stack.docker("rm", "--force", name)


def test_nothing_but_broken_artifacts_is_an_error(stack: Stack, artifacts: Path) -> None:
    damage(artifacts / "simple_cnn")
    shutil.rmtree(artifacts / "convolve")
    assert last_line(serve(stack, artifacts)).startswith("convserve-server: no model can be served: ")


def damage(model: Path) -> None:
    """Change every version of a model behind its manifest's back."""
    for file in model.glob("*/model.onnx"):
        file.write_bytes(file.read_bytes() + b"!")


def test_a_gpu_that_is_not_there_is_no_reason_to_take_the_cpu(stack: Stack) -> None:
    said = stack.docker("run", "--rm", *CONTAINED, "-e", "CONVSERVE_PROVIDER=cuda", "convserve-server:test", fails=True)
    assert last_line(said).startswith("convserve-server: --provider cuda was asked for, but ")


def test_the_gpu_profile_does_not_start_without_a_gpu(stack: Stack) -> None:
    if "nvidia" in stack.docker("info", "--format", "{{json .Runtimes}}"):
        pytest.skip("this engine has NVIDIA's runtime")
    # Docker refuses before it looks into the image, so that any image will do.
    stack.docker("tag", "convserve-server:test", "convserve-server-gpu:test")
    try:
        said = stack.compose("up", "--detach", "--no-build", "--no-deps", "server-gpu", fails=True)
        assert 'could not select device driver "nvidia"' in said
    finally:
        stack.compose("rm", "--force", "--stop", "server-gpu")
        stack.docker("rmi", "convserve-server-gpu:test")


def test_a_port_in_use_is_named(stack: Stack) -> None:
    holder = f"{stack.project}-holder"
    stack.docker(
        *("run", "--detach", "--name", holder, "--publish", "127.0.0.1:8099:8099", "--entrypoint", "sleep"),
        *("convserve-client:test", "600"),
    )
    try:
        said = stack.compose(
            *("run", "--rm", "--no-deps", "-T", "--publish", "127.0.0.1:8099:8001", "server"), fails=True
        )
        assert "port is already allocated" in said
    finally:
        stack.docker("rm", "--force", holder)


def test_a_server_that_takes_too_much_memory_is_started_again(stack: Stack) -> None:
    """The kernel gives a process no time for a sentence: Docker's record has it, and the exit code 137."""
    name = f"{stack.project}-memory"
    stack.docker("run", "--detach", "--name", name, "--memory", "24m", "--network", "none", "convserve-server:test")
    try:
        eventually(lambda: not stack.inspect(name)["State"]["Running"], 60, "it was killed")
        state = stack.inspect(name)["State"]
        assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)
    finally:
        stack.docker("rm", "--force", name)
    [server, *_] = stack.containers("server")
    policy = stack.inspect(server)["HostConfig"]["RestartPolicy"]["Name"]
    assert policy == "unless-stopped"
