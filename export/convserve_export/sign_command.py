"""``convserve-export sign DIR``: sign published artifacts, so that a server can insist on who exported them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from convserve_proto import signing

from convserve_export.errors import BadInput
from convserve_export.rechecking import artifacts_in


def parser() -> argparse.ArgumentParser:
    """Every option of ``sign``."""
    new = argparse.ArgumentParser(
        prog="convserve-export sign",
        description=f"Sign every file of artifacts with an elliptic-curve key; the signature is {signing.FILE}. "
        f"Needs the OpenSSF model-signing package: {signing.HOW}",
    )
    new.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="an artifact, a model, or a repository")
    new.add_argument("--private-key", type=Path, required=True, metavar="PEM", help="the key, without a password")
    return new


def sign(arguments: Sequence[str]) -> int:
    """Run the command; returns 0. Raises BadInput where something cannot be signed."""
    options = parser().parse_args(arguments)
    for folder in [f for given in options.folders for f in artifacts_in(given)]:
        try:
            signing.sign(folder, options.private_key)
        except signing.SignatureFault as error:
            raise BadInput(str(error)) from error
        print(f"signed {folder}")
    return 0
