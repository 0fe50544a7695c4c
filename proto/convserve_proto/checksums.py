"""The sidecars of an artifact that say what its other files hash to, in the form that ``sha256sum --check`` reads.

``manifest.json`` has the hash of every file that is the same whenever the same thing is exported. Its own hash is in
``manifest.sha256``; the hashes of what differs from run to run are in ``provenance.sha256``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

MANIFEST_SUMS = "manifest.sha256"
PROVENANCE_SUMS = "provenance.sha256"
SIDECARS = (MANIFEST_SUMS, PROVENANCE_SUMS)

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_][A-Za-z0-9_.-]*)")


def sums(files: Mapping[str, bytes]) -> bytes:
    """A sidecar for these files: name to content."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())).encode()


def faults(sidecar: str, content: bytes, read: Callable[[str], bytes]) -> list[str]:
    """A sentence for each file that is not what the sidecar says, or for what is wrong with the sidecar itself.

    ``read`` gives a file's content, or raises OSError where it is missing.
    """
    lines = content.decode("utf-8", "replace").removesuffix("\n").split("\n")
    found = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            return [f"{sidecar} was changed after the export: it has a line that is no hash and file name"]
        digest, name = match.groups()
        try:
            data = read(name)
        except OSError:
            found.append(f"{name}, which {sidecar} lists, is missing")
            continue
        if hashlib.sha256(data).hexdigest() != digest:
            found.append(f"{name} was changed after the export: its SHA-256 is not the one in {sidecar}")
    return found
