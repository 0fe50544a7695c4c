"""Kinds of CPUs, by what their system says of them."""

from __future__ import annotations

import pytest
from convserve_proto.cpu_kind import kind_of


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "kind"),
    [
        ("x86_64", "model name\t: X\nflags\t\t: fpu avx2 avx512_vnni\n\nflags\t\t: fpu", "x86-64-vnni"),
        ("AMD64", "flags : avx_vnni", "x86-64-vnni"),
        ("x86_64", "flags\t\t: fpu avx2 avx512f", "x86-64"),
        ("x86_64", "", "x86-64"),
        ("aarch64", "Features\t: fp asimd asimddp", "aarch64-dotprod"),
        ("arm64", "", "aarch64"),
        ("riscv64", "isa : rv64", "riscv64"),
        ("", "", "unknown"),
    ],
)
def test_the_kind_follows_from_machine_and_flags(machine: str, cpuinfo: str, kind: str) -> None:
    assert kind_of(machine, cpuinfo) == kind
