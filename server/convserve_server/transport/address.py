"""The address to listen on, as it is written in the settings."""

from __future__ import annotations

from convserve_server.errors import InvalidSettings


def split_address(address: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; an IPv6 host keeps its brackets. Raises InvalidSettings for anything else."""
    host, separator, port = address.rpartition(":")
    if not (separator and host and port.isdecimal() and int(port) < 65536):
        raise InvalidSettings(f"the address to listen on is '{address}'; give HOST:PORT, such as 127.0.0.1:8001")
    return host, int(port)
