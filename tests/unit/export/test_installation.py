"""An installation that cannot export is told so in a sentence with the command that mends it."""

from __future__ import annotations

import pytest
from convserve_export.errors import BadInput
from convserve_export.installation import check_installation


def check(*, missing: set[str] = frozenset(), distributions: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    check_installation(importable=lambda m: m not in missing, installed=lambda d: d in distributions)


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"])
def test_one_onnx_runtime_is_enough(runtime: str) -> None:
    check(distributions={runtime})


def test_without_onnx_runtime_the_extra_to_install_is_named() -> None:
    with pytest.raises(
        BadInput, match=r"ONNX Runtime, which is not installed; run: pip install 'convserve\[export,server\]'"
    ):
        check(missing={"onnxruntime"})


def test_two_onnx_runtimes_are_refused_because_they_overwrite_each_other() -> None:
    with pytest.raises(BadInput, match="onnxruntime and onnxruntime-gpu are both installed"):
        check(distributions={"onnxruntime", "onnxruntime-gpu"})


def test_without_the_export_extra_what_is_missing_is_named() -> None:
    with pytest.raises(BadInput, match="the export needs torch, safetensors, which cannot be imported"):
        check(missing={"torch", "safetensors"}, distributions={"onnxruntime"})


def test_this_installation_can_export() -> None:
    check_installation()
