"""The same checkpoint gives the same bytes: in another process, in another folder, in the same process again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from convserve_export.candidate import Candidate
from convserve_export.onnx_graph import to_onnx
from convserve_export.program import to_program, to_pt2
from convserve_export.torchscript import to_torchscript

from .conftest import Exported

APART = {"provenance.json", "provenance.sha256", "report.html"}
"""What differs from run to run."""


def identical_set(out: Path) -> dict[str, str]:
    return {
        str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in out.rglob("*")
        if p.is_file() and p.name not in APART
    }


def test_another_process_in_another_folder_publishes_the_same_bytes_and_the_same_manifest(
    exported: Exported, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "another folder"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "convserve_export", "--checkpoint", "random", "--out", "out", "--json"]
    environment = os.environ | {"PYTHONHASHSEED": "12345", "TZ": "Pacific/Auckland", "HOME": str(elsewhere)}
    subprocess.run(command, cwd=elsewhere, env=environment, check=True, stdout=subprocess.DEVNULL)
    again = identical_set(elsewhere / "out")
    assert again == identical_set(exported.out)
    assert {name.rpartition("/")[2] for name in again} >= {"manifest.json", "model.onnx", "model.pt", "model.pt2"}


def test_the_same_process_gives_the_same_bytes_again(exported: Exported, candidates: dict[str, Candidate]) -> None:
    for candidate, folder in (
        (candidates["simple_cnn"], exported.classifier),
        (candidates["convolve"], exported.convolution),
    ):
        program = to_program(candidate)
        assert to_torchscript(candidate) == (folder / "model.pt").read_bytes()
        assert to_pt2(program) == (folder / "model.pt2").read_bytes()
        assert to_onnx(candidate, program) == (folder / "model.onnx").read_bytes()


def test_what_differs_is_kept_beside_and_points_to_the_manifest(exported: Exported) -> None:
    provenance = json.loads((exported.classifier / "provenance.json").read_text())
    manifest = (exported.classifier / "manifest.json").read_bytes()
    assert provenance["manifest_sha256"] == hashlib.sha256(manifest).hexdigest()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", provenance["exported"])


def test_the_sidecars_are_what_sha256sum_reads(exported: Exported) -> None:
    for sidecar in ("manifest.sha256", "provenance.sha256"):
        command = ["sha256sum", "--check", "--strict", "--quiet", sidecar]
        subprocess.run(command, cwd=exported.classifier, check=True)
