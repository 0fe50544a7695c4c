"""The signing round trip: signed, verified, served; by another key, changed or unsigned: refused, with the reason."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from convserve_export.cli import main
from convserve_proto import signing
from convserve_server.errors import StartupError
from support.servers import running_app

from .conftest import Exported

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("model_signing") is None, reason="the package model-signing is not installed"
)


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private)]
    subprocess.run(make, check=True, capture_output=True)
    tell = ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(tell, check=True, capture_output=True)
    return private, public


@needs_package
def test_signed_is_verified_and_served_and_everything_else_is_refused(
    copied: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = key_pair(tmp_path, "mine")
    _, stranger = key_pair(tmp_path, "stranger")
    with pytest.raises(StartupError, match="it is not signed"), running_app(copied.out, require_public_key=public):
        pass
    assert main(["sign", str(copied.out), "--private-key", str(private)]) == 0
    assert main(["verify", str(copied.out), "--public-key", str(public)]) == 0
    with running_app(copied.out, require_public_key=public) as app:
        assert app.repository.names() == ["convolve", "simple_cnn"]
    assert main(["verify", str(copied.out), "--public-key", str(stranger)]) == 1
    assert "its signature does not hold for stranger.pub" in capsys.readouterr().err
    with pytest.raises(StartupError, match="does not hold"), running_app(copied.out, require_public_key=stranger):
        pass
    (copied.classifier / "labels.txt").write_text("".join(f"{i}\n" for i in range(10)))
    with pytest.raises(signing.SignatureFault, match="does not hold for mine"):
        signing.verify_signature(copied.classifier, public)


@needs_package
def test_a_key_that_is_none_ends_in_a_sentence(
    copied: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key.pem").write_text("no key")
    assert main(["sign", str(copied.out), "--private-key", str(tmp_path / "key.pem")]) == 2
    assert "cannot be signed with key.pem" in capsys.readouterr().err


def test_without_the_package_everybody_is_told_what_to_install(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    (tmp_path / "key.pub").write_text("key")
    with pytest.raises(signing.SignatureFault, match="pip install model-signing"):
        signing.verify_signature(exported.classifier, tmp_path / "key.pub")
