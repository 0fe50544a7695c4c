"""Which precision is served: what passed its gates on this hardware, or what is asked for; never another."""

from __future__ import annotations

import logging

import pytest
from convserve_server.engine.precision import Variant, choose
from convserve_server.errors import ModelBroken

INT8 = Variant("int8", b"", (), pixels=False, hardware=("x86-64-vnni",))
FP16 = Variant("fp16", b"", (), pixels=False, hardware=("cuda",))
PIXELS = Variant("fp32", b"", (), pixels=True)
ALL = (PIXELS, INT8, FP16)


@pytest.mark.parametrize(
    ("hardware", "precision"), [("x86-64-vnni", "int8"), ("x86-64", "fp32"), ("aarch64", "fp32"), ("cuda", "fp16")]
)
def test_auto_takes_what_passed_its_gates_on_hardware_like_this(hardware: str, precision: str) -> None:
    assert choose("auto", ALL, hardware, learned=True) == precision


def test_auto_takes_fp32_where_there_is_nothing_else() -> None:
    assert choose("auto", (), "x86-64-vnni", learned=True) == "fp32"


def test_what_is_asked_for_is_served(caplog: pytest.LogCaptureFixture) -> None:
    for wanted in ("fp32", "int8"):
        assert choose(wanted, ALL, "x86-64-vnni", learned=True) == wanted
    assert not caplog.records


def test_what_is_asked_for_without_proof_on_this_hardware_is_served_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose("int8", ALL, "x86-64", learned=True) == "int8"
    assert "did not prove itself on hardware like this (x86-64)" in caplog.text


def test_what_is_asked_for_and_not_there_is_refused_with_what_there_is() -> None:
    with pytest.raises(ModelBroken, match=r"it has no fp16 variant that passed its gates.*it has fp32, int8"):
        choose("fp16", (PIXELS, INT8), "cuda", learned=True)


def test_a_model_that_has_learned_nothing_is_served_as_it_is() -> None:
    assert choose("int8", (), "x86-64", learned=False) == "fp32"
