"""How files with secrets are read, and who else can read them."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from convserve_server.errors import InvalidSettings

log = logging.getLogger(__name__)

LARGEST = 1 << 20
"""Bytes. More is no list of tokens and no certificate, such as a device or a model that was given by mistake."""


def read_file(path: Path) -> bytes:
    """What is in a file. Raises InvalidSettings where it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise InvalidSettings(f"{path} has more than {LARGEST:,} bytes: that is some other file")
    return content


def warn_if_exposed(path: Path) -> None:
    """Log a warning where others of this machine may read the file, or change it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        log.warning(
            "%s may be read or changed by other users of this machine (mode %03o): chmod 600 %s",
            path,
            stat.S_IMODE(mode),
            path,
        )
