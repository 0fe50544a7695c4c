"""What callers are told of a model that could not be loaded: the reason, and not where the server keeps its files."""

from __future__ import annotations

from pathlib import Path


def for_callers(reason: str, folder: Path) -> str:
    """A reason without the path of ``folder`` (a version's or a model's) or of the one it lies in.

    The files in it keep their names. The operator's log has the whole path.
    """
    # ONNX Runtime may write a path otherwise than it was given. The longest first: a relative one ends the others.
    for known in (folder.resolve(), folder.absolute(), folder):
        for place in (known, known.parent):
            # The current folder and the root stand in everything.
            if place.name:
                reason = reason.replace(f"{place}/", "").replace(str(place), "its folder")
    return reason
