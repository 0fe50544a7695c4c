"""docker compose up: one export, one server, and calls to it from outside and from another container."""

from __future__ import annotations

import os
from datetime import datetime

import pytest
from PIL import Image

from .stack import Stack, eventually

pytestmark = pytest.mark.timeout(1800)

MOST_SECONDS_TO_HEALTHY = 3.0


def test_the_published_port_answers(stack: Stack) -> None:
    answer = stack.convserve("classify", str(stack.pictures / "cat.jpg"), "--top-k", "1")
    assert "cat.jpg\n  cat " in answer


def test_another_container_classifies(stack: Stack) -> None:
    answer = stack.compose("run", "--rm", "-T", "client", "classify", "cat.jpg", "--top-k", "1")
    assert "cat.jpg\n  cat " in answer


def test_another_container_writes_an_edge_picture(stack: Stack) -> None:
    user = f"{os.getuid()}:{os.getgid()}"
    stack.compose(
        *("run", "--rm", "-T", "--user", user, "client", "convolve", "cat.jpg", "--gradient", "-o", "edges.png")
    )
    with Image.open(stack.pictures / "edges.png") as edges:
        assert edges.size == (449, 298)


def test_the_last_lines_tell_how_to_call(stack: Stack) -> None:
    stack.compose("up", "--detach", "--no-build", "--no-deps", "usage")
    eventually(lambda: "127.0.0.1:8001" in stack.compose("logs", "--no-log-prefix", "usage"), 20, "usage is told")
    told = stack.compose("logs", "--no-log-prefix", "usage").rstrip().splitlines()
    assert told[-2].strip() == "docker compose run --rm client classify PICTURE"
    assert told[-1] == "or with any gRPC client, at 127.0.0.1:8001."


def test_what_is_there_already_is_not_exported_again(stack: Stack) -> None:
    again = stack.compose("run", "--rm", "-T", "export")
    assert "there are artifacts already" in again
    assert "published" not in again


def test_the_server_cannot_write_or_gain_anything(stack: Stack) -> None:
    script = "id -u; touch /new 2>&1; touch /artifacts/new 2>&1; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/1/status"
    user, root, volume, *status = stack.compose("exec", "-T", "server", "sh", "-c", f"{script}; true").splitlines()
    assert user == "10001"
    assert "Read-only file system" in root
    assert "Read-only file system" in volume
    assert sorted(line.split()[1] for line in status) == ["0000000000000000", "0000000000000000", "1"]


def test_a_server_is_healthy_soon_after_its_start(stack: Stack) -> None:
    [server] = stack.containers("server")
    fastest = float("inf")
    # The best of a few, for the machine may have something else to do for a moment.
    for _ in range(3):
        stack.docker("restart", server)
        eventually(lambda: stack.healthy(server), 60, "the server is healthy")
        fastest = min(fastest, seconds_to_healthy(stack, server))
        if fastest < MOST_SECONDS_TO_HEALTHY:
            break
    print(f"\nhealthy {fastest:.2f} s after the start")
    if fastest >= MOST_SECONDS_TO_HEALTHY and os.getloadavg()[0] > 2 * (os.cpu_count() or 1):
        pytest.skip(f"healthy after {fastest:.1f} s, but the machine is too busy to judge that")
    assert fastest < MOST_SECONDS_TO_HEALTHY


def seconds_to_healthy(stack: Stack, container: str) -> float:
    state = stack.inspect(container)["State"]
    started = moment(state["StartedAt"])
    good = [moment(probe["End"]) for probe in state["Health"]["Log"] if probe["ExitCode"] == 0]
    return (min(end for end in good if end > started) - started).total_seconds()


def moment(text: str) -> datetime:
    """Docker's time stamps have nanoseconds, which Python does not read."""
    date, _, rest = text.partition(".")
    digits = rest.rstrip("Z").partition("+")[0].partition("-")[0]
    return datetime.fromisoformat(f"{date}.{digits[:6]:0<6}+00:00")


def test_a_server_whose_process_is_killed_comes_back(stack: Stack) -> None:
    [server] = stack.containers("server")
    stack.crash(server)
    assert "is ready" in stack.convserve("health")


def test_a_stop_is_clean_and_quick(stack: Stack) -> None:
    [server] = stack.containers("server")
    stack.docker("stop", server)
    assert stack.inspect(server)["State"]["ExitCode"] == 0
    assert "stopped" in stack.docker("logs", "--tail", "1", server)
    stack.compose("up", "--detach", "--wait", "--no-build", "--no-deps", "server")


def test_prometheus_is_told_what_happened(stack: Stack) -> None:
    """From inside the network: the port of the metrics is not published."""
    stack.convserve("classify", str(stack.pictures / "cat.jpg"))
    script = "from urllib.request import urlopen; print(urlopen('http://server:9090/metrics').read().decode())"
    told = stack.compose("run", "--rm", "-T", "--entrypoint", "python", "client", "-c", script)
    assert 'convserve_calls_total{code="OK",method="Classify",service="convserve.v1.ImageClassifier"}' in told
    labels = 'model="simple_cnn",precision="fp32",provider="CPUExecutionProvider",version="1"'
    assert f"convserve_model_info{{{labels}}} 1.0" in told


@pytest.mark.parametrize(("quota", "cpus"), [("0.5", 1), ("2", min(2, os.cpu_count() or 1))])
def test_threads_are_sized_by_the_quota(stack: Stack, quota: str, cpus: int) -> None:
    name = f"{stack.project}-quota"
    stack.compose(*("run", "--detach", "--no-deps", "--name", name, "server"), CONVSERVE_CPUS=quota, CONVSERVE_PORT="")
    try:
        eventually(lambda: "usable CPUs" in stack.docker("logs", name), 30, "the server tells how many CPUs it uses")
        assert f"{cpus} usable CPUs" in stack.docker("logs", name)
    finally:
        stack.docker("rm", "--force", name)
