"""Signatures of artifacts, as the OpenSSF model-signing package makes and checks them: model.sig in the folder.

The package is optional: without it nothing can be signed, and whoever requires a signature is told what to install.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

FILE = "model.sig"
HOW = "pip install model-signing pyOpenSSL"


class SignatureFault(Exception):
    """The signature is missing, of another key, or not of what is there; the sentence says which."""


def sign(folder: Path, private_key: Path) -> None:
    """Sign every file in ``folder`` with an elliptic-curve key (PEM). Raises SignatureFault with a sentence."""
    signing, _, hashing = _package()
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)
        config.set_hashing_config(_hashing(hashing, folder)).sign(folder, folder / FILE)
    except Exception as error:
        raise SignatureFault(f"{folder} cannot be signed with {private_key.name}: {error}") from error


def verify_signature(folder: Path, public_key: Path) -> None:
    """Every file in ``folder`` is as the owner of ``public_key`` (PEM) signed it, none is missing, none was added.

    Raises SignatureFault with a sentence, OSError where the key cannot be read.
    """
    public_key.read_bytes()
    _, verifying, hashing = _package()
    if not (folder / FILE).is_file():
        raise SignatureFault(f"it is not signed: there is no {FILE}")
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        config.set_hashing_config(_hashing(hashing, folder)).verify(folder, folder / FILE)
    # The package raises its own errors, those of cryptography, of JSON and of its data classes.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SignatureFault(f"its signature does not hold for {public_key.name}: {reason}") from error


def _hashing(hashing: Any, folder: Path) -> Any:
    return hashing.Config().set_ignored_paths(paths=[folder / FILE], ignore_git_paths=False)


def _package() -> tuple[Any, Any, Any]:
    try:
        from model_signing import hashing, signing, verifying
    except ImportError as error:
        raise SignatureFault(f"signatures need the package model-signing ({error}): {HOW}") from error
    return signing, verifying, hashing
