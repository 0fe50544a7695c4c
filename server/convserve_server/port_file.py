"""The file that tells whoever started a server which port it got, once it is ready."""

from __future__ import annotations

import os
from pathlib import Path


def write_port(path: Path, port: int) -> None:
    """Write a port into a file, so that a reader sees all of it or no file."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(f"{port}\n")
    aside.replace(path)
