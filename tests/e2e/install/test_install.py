"""Every way of installing convserve gives a client that works, and nothing that a client does not need."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import ROOT, Environment

# Base dependencies are downloaded by whichever test comes first.
pytestmark = pytest.mark.timeout(400)

# Printed by the new environment: what importing the client loaded of the heavy packages, and where it lies.
LOOK = """
import sys, convserve_client
from convserve_client import AsyncClient, Client
print(sorted({"torch", "onnx", "onnxruntime"} & set(sys.modules)), convserve_client.__file__)
"""


@pytest.mark.parametrize("way", ["folder", "editable", "wheel", "sdist"])
def test_a_client_works_however_it_was_installed(
    way: str, environment: Environment, request: pytest.FixtureRequest
) -> None:
    source = {"folder": [str(ROOT)], "editable": ["--editable", str(ROOT)]}.get(way)
    what = source or [str(request.getfixturevalue(way))]
    environment.pip("uninstall", "--quiet", "--yes", "convserve")
    environment.pip("install", "--quiet", "--no-compile", "--constraint", str(ROOT / "constraints.txt"), *what)

    assert "usage: convserve" in environment.run("convserve", "--help").lower()
    heavy, _, place = environment.run("python", "-c", LOOK).strip().partition(" ")
    assert heavy == "[]"
    assert Path(place).is_relative_to(ROOT if way == "editable" else environment.folder)
    assert environment.distributions().isdisjoint({"torch", "onnx", "onnxruntime", "onnxruntime-gpu", "onnxscript"})
    assert environment.pip("check").strip() == "No broken requirements found."
