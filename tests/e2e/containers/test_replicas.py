"""Three servers behind Envoy: calls are spread, and none is lost when servers die, are replaced, or get new models."""

from __future__ import annotations

import sys

import pytest

from .engine import HERE
from .stack import Stack, admin, calls_by_server, eventually

pytestmark = pytest.mark.timeout(1800)

ENVOY = "127.0.0.1:8080"


def test_calls_are_spread_over_all_servers(replicas: Stack) -> None:
    eventually(lambda: len(calls_by_server(replicas)) == 3, 15, "Envoy knows three servers")
    before = calls_by_server(replicas)
    with replicas.load(ENVOY) as load:
        eventually(lambda: sum(calls_by_server(replicas).values()) - sum(before.values()) > 300, 60, "300 calls")
    after = calls_by_server(replicas)
    share = {server: after[server] - before[server] for server in after}
    print(f"\n{load}; by server {sorted(share.values())}")
    assert load.failures == []
    assert min(share.values()) > sum(share.values()) / 6


def test_no_call_is_lost_when_a_server_dies(replicas: Stack) -> None:
    victim = replicas.containers("server")[0]
    with replicas.load(ENVOY) as load:
        for _ in range(3):
            replicas.crash(victim)
    print(f"\nkilled three times: {load}; {retries(replicas)} calls that Envoy repeated so far")
    assert load.answered > 100
    assert load.failures == []


def test_a_new_version_is_served_without_a_restart(replicas: Stack) -> None:
    servers = replicas.containers("server")
    with replicas.load(ENVOY) as load:
        replicas.compose("run", "--rm", "-T", "export", "--checkpoint", "random", "--seed", "2")
        eventually(lambda: " 2 " in models(replicas), 30, "version 2 is served")
    print(f"\nnew version: {load}; versions {load.versions} answered")
    assert load.failures == []
    assert load.versions == ["1", "2"]
    assert replicas.containers("server") == servers


def models(stack: Stack) -> str:
    """The line of simple_cnn in the list of models."""
    lines = stack.convserve("models", "--server", ENVOY).splitlines()
    return next(line for line in lines if line.startswith("simple_cnn"))


def test_no_call_is_lost_when_every_server_is_replaced(replicas: Stack) -> None:
    old = set(replicas.containers("server"))
    with replicas.load(ENVOY) as load:
        said = replicas.run("deploy/roll")
    print(f"\nrolled: {load}; {retries(replicas)} calls that Envoy repeated so far")
    assert "3 servers are new" in said
    assert len(replicas.containers("server")) == 3
    assert old.isdisjoint(replicas.containers("server"))
    assert load.answered > 100
    assert load.failures == []


def retries(stack: Stack) -> int:
    [line] = [s for s in admin(stack, "/stats").splitlines() if s.startswith("cluster.servers.upstream_rq_retry:")]
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("origin", "allowed"), [("http://localhost:5173", True), ("https://127.0.0.1", True), ("https://a.example", False)]
)
def test_a_browser_may_call_from_a_page_of_this_machine(replicas: Stack, origin: str, allowed: bool) -> None:
    """gRPC-Web over HTTP/1.1, with the preflight that a browser sends first."""
    said = replicas.outside(sys.executable, str(HERE / "browser.py"), ENVOY, origin)
    assert said.splitlines() == [
        f"preflight allowed: {allowed}",
        f"call allowed: {allowed}",
        "live: True",
        "grpc-status: 0",
    ]
