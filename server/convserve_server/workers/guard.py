"""The port that workers share: claimed by their parent for as long as it lives, so that nobody else shares it.

Workers listen with SO_REUSEPORT, and with that alone any server of the same user that sets it too would silently take
a part of their connections. So the parent first binds the port without it, which fails when somebody has the port, and
only then lets others join by setting the option on the bound socket. It never listens: connections reach workers only.
"""

from __future__ import annotations

import errno
import socket
import sys

from convserve_server.errors import InvalidSettings
from convserve_server.transport.address import split_address

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class PortGuard:
    """Holds HOST:PORT until close(); port 0 takes a free one.

    Raises InvalidSettings when somebody has the port, the address is not this machine's, or the system cannot share.
    """

    def __init__(self, listen: str) -> None:
        if not sys.platform.startswith("linux"):
            raise InvalidSettings(
                "--workers works on Linux only: elsewhere several processes cannot share a port evenly; "
                "start without it, or several servers on ports of their own"
            )
        self._sockets: list[socket.socket] = []
        self.host, self.port = split_address(listen)
        try:
            for family, address in self._addresses():
                self._claim(family, address)
            if not self._sockets:
                raise OSError(errno.EADDRNOTAVAIL, "no address of this host is this machine's")
        except OSError as error:
            self.close()
            raise InvalidSettings(
                f"cannot listen on {listen}: the port is in use, or the address is not this machine's ({error})"
            ) from error

    @property
    def address(self) -> str:
        """HOST:PORT with the port that it has."""
        return f"{self.host}:{self.port}"

    def _addresses(self) -> list[tuple[int, str]]:
        host = self.host.removeprefix("[").removesuffix("]")
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [(family, str(where[0])) for family, _, _, _, where in found]

    def _claim(self, family: int, address: str) -> None:
        guard = socket.socket(family, socket.SOCK_STREAM)
        try:
            # Connections of a server that has just ended (TIME_WAIT) are no reason to wait a minute.
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            guard.bind((address, self.port))
            port: int = guard.getsockname()[1]
            # With SO_REUSEADDR, two sockets may be bound while neither listens: two parents that start at the same
            # moment. A name can be bound once; this one goes with the process, and is as local as the port.
            name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._sockets.append(name)
            name.bind(f"\0convserve-server {address} {port}")
            guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError as error:
            guard.close()
            if error.errno in _NOT_HERE:
                return
            raise
        self._sockets.append(guard)
        self.port = port

    def close(self) -> None:
        """Let go of the port."""
        for held in self._sockets:
            held.close()
        self._sockets.clear()
