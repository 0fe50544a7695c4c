"""Callers hear why, and not where."""

from __future__ import annotations

from pathlib import Path

import pytest
from convserve_server.engine.telling import for_callers


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Load model from /srv/models/sum/1/model.onnx failed", "Load model from model.onnx failed"),
        ("cannot read /srv/models/sum/config.json", "cannot read config.json"),
        ("nothing lies in /srv/models/sum/1", "nothing lies in its folder"),
        ("Node (/layer1/Conv) of input 1/2", "Node (/layer1/Conv) of input 1/2"),
    ],
)
def test_files_keep_their_names_and_folders_are_not_told(reason: str, told: str) -> None:
    assert for_callers(reason, Path("/srv/models/sum/1")) == told


def test_a_relative_folder_is_known_by_its_absolute_path_too() -> None:
    folder = Path("models/sum/1")
    assert for_callers(f"in {folder.absolute()}/a and {folder}/b", folder) == "in a and b"
