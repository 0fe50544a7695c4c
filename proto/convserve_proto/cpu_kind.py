"""Names for kinds of CPUs, as far as they decide how fast and how exactly int8 networks run: read by both ends.

x86 CPUs with VNNI multiply 8-bit numbers and add them up in 32 bits. Those without it add pairs up in 16 bits, which
overflow: there, U8 x S8 is both slower and wrong unless ONNX Runtime is told to avoid it.
"""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

X86_VNNI = "x86-64-vnni"
X86 = "x86-64"
ARM_DOTPROD = "aarch64-dotprod"

_MACHINES = {"x86_64": X86, "amd64": X86, "arm64": "aarch64", "aarch64": "aarch64"}


@cache
def cpu_kind(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The kind of this CPU. Where the system does not tell what it can do, the plain kind of its family."""
    return kind_of(platform.machine(), _read(cpuinfo))


def kind_of(machine: str, cpuinfo: str) -> str:
    """The kind of a CPU by what ``uname -m`` and /proc/cpuinfo say of it."""
    family = _MACHINES.get(machine.lower(), machine.lower() or "unknown")
    flags = set(re.findall(r"\w+", " ".join(re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)[:1])))
    if family == X86 and flags & {"avx512_vnni", "avx_vnni"}:
        return X86_VNNI
    if family == "aarch64" and "asimddp" in flags:
        return ARM_DOTPROD
    return family


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
