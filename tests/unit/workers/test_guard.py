"""The port of several workers is theirs alone. (Binding a loopback port waits for nobody.)"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from convserve_server.errors import InvalidSettings
from convserve_server.workers.guard import PortGuard

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="--workers is for Linux")


@pytest.fixture
def guard() -> Iterator[PortGuard]:
    with closing(PortGuard("127.0.0.1:0")) as guard:
        yield guard


def listener(port: int, *, shared: bool, host: str = "127.0.0.1") -> socket.socket:
    """What gRPC opens: SO_REUSEADDR, and SO_REUSEPORT where it may share."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    try:
        opened.bind((host, port))
        opened.listen()
    except OSError:
        opened.close()
        raise
    return opened


def test_port_0_takes_a_free_one_and_names_it(guard: PortGuard) -> None:
    assert guard.port > 0
    assert guard.address == f"127.0.0.1:{guard.port}"


def test_workers_join_and_only_they_are_connected_to(guard: PortGuard) -> None:
    with closing(listener(guard.port, shared=True)) as one, closing(listener(guard.port, shared=True)) as two:
        accepted = 0
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", guard.port), timeout=5):
                for worker in (one, two):
                    worker.settimeout(0.2)
                    try:
                        worker.accept()[0].close()
                    except TimeoutError:
                        continue
                    accepted += 1
                    break
        assert accepted == 20


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_somebody_listens_on_is_refused_even_if_he_would_share(shared: bool) -> None:
    with closing(listener(0, shared=shared)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InvalidSettings, match=f"cannot listen on 127.0.0.1:{port}: the port is in use"):
            PortGuard(f"127.0.0.1:{port}")


def test_a_second_guard_is_refused_while_no_worker_listens_yet(guard: PortGuard) -> None:
    with pytest.raises(InvalidSettings, match="the port is in use"):
        PortGuard(guard.address)


def test_a_second_guard_is_refused_while_workers_listen(guard: PortGuard) -> None:
    with closing(listener(guard.port, shared=True)), pytest.raises(InvalidSettings, match="the port is in use"):
        PortGuard(guard.address)


def test_connections_that_a_server_closed_a_moment_ago_do_not_hold_the_port() -> None:
    with closing(listener(0, shared=False)) as ended:
        port = ended.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
            connection, _ = ended.accept()
            # Who closes first keeps the connection in TIME_WAIT.
            connection.close()
            assert caller.recv(1) == b""
    with closing(PortGuard(f"127.0.0.1:{port}")) as guard:
        assert guard.port == port


def test_a_closed_guard_lets_go(guard: PortGuard) -> None:
    guard.close()
    with closing(PortGuard(guard.address)) as next_one:
        assert next_one.port == guard.port


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "localhost:0", "[::1]:0"])
def test_every_kind_of_address_can_be_held(address: str) -> None:
    if ":" in address.rpartition(":")[0] and not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    try:
        guard = PortGuard(address)
    except InvalidSettings as error:
        if "Cannot assign" in str(error) or "not supported" in str(error):
            pytest.skip("there is no IPv6 here")
        raise
    with closing(guard):
        assert guard.host == address.rpartition(":")[0]
        assert guard.port > 0


@pytest.mark.parametrize("address", ["192.0.2.1:0", "no.such.host.invalid:0"])
def test_an_address_of_another_machine_is_refused(address: str) -> None:
    with pytest.raises(InvalidSettings, match=f"cannot listen on {address}"):
        PortGuard(address)


def test_elsewhere_than_on_linux_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(InvalidSettings, match="--workers works on Linux only"):
        PortGuard("127.0.0.1:0")
