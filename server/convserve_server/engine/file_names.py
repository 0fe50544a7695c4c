"""Which names that come from a caller, a config or a disk can be the name of one file or folder."""

from __future__ import annotations

from pathlib import Path

LONGEST = 255
"""Bytes that Linux's file systems allow."""


def is_file_name(name: str) -> bool:
    """True for the name of something inside of a folder that can also be logged and sent: UTF-8 and no path."""
    if name in ("", ".", "..") or name != Path(name).name or "\0" in name:
        return False
    try:
        return len(name.encode()) <= LONGEST
    except UnicodeEncodeError:
        return False
