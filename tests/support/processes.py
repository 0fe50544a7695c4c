"""What Linux tells of processes and their connections."""

from __future__ import annotations

from pathlib import Path

_ESTABLISHED = "01"


def connections_to(process: int, port: int) -> int:
    """How many connections to a local TCP port a process has accepted and holds."""
    inodes = set()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    # gRPC listens with IPv6 sockets on IPv4 addresses too.
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
    rows = [line.split() for t in tables if t.exists() for line in t.read_text().splitlines()[1:]]
    local = f":{port:04X}"
    return sum(row[1].endswith(local) and row[3] == _ESTABLISHED and row[9] in inodes for row in rows)


def alive(process: int) -> bool:
    """Whether a process of this number runs; one that has ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"
