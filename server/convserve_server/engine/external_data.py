"""Weights that lie in files beside an ONNX model, read as a whole.

ONNX Runtime would map such files and keep them mapped: whoever truncated one later would kill the server (SIGBUS), and
whoever wrote to one would change its answers.
"""

from __future__ import annotations

from pathlib import Path

from convserve_server.errors import ModelBroken


def weights_beside(model: Path, content: bytes) -> dict[str, bytes]:
    """The files in the model's folder that it names, by the names that it gives them.

    Raises ModelBroken where one cannot be read. Whether they are all that it needs is for ONNX Runtime to say.
    """
    folder = model.parent
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        # Names stand in the model as they are. One that stands there by chance costs its reading, and nothing else.
        if path == model or name.encode() not in content or not path.is_file():
            continue
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise ModelBroken(f"{name} cannot be read: {error.strerror}") from error
    return found
