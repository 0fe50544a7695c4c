"""--load-model is for callers who load models; elsewhere it is refused instead of ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
from convserve_server.app import App
from convserve_server.errors import InvalidSettings
from convserve_server.settings import Settings
from support.artifacts import write_sum


@pytest.mark.parametrize("mode", ["none", "poll"])
def test_load_model_outside_of_mode_explicit_is_refused_with_what_to_do(tmp_path: Path, mode: str) -> None:
    write_sum(tmp_path)
    sentence = rf"--load-model names sum, but --repository-mode is {mode}, .* give --repository-mode explicit"
    with pytest.raises(InvalidSettings, match=sentence):
        App(
            Settings(
                repository=tmp_path, listen="127.0.0.1:0", provider="cpu", repository_mode=mode, load_model=("sum",)
            )
        )
