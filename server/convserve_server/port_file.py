"""The file that tells whoever started a server which port it got, once it is ready."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from convserve_server.errors import InvalidSettings


def write_port(path: Path, port: int) -> None:
    """Write a port into a file, so that a reader sees all of it or no file.

    Raises InvalidSettings where the file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(f"{port}\n")
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise InvalidSettings(f"the port file {path} cannot be written: {error.strerror}") from error
