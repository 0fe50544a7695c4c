"""Models that come in a request to load them, instead of lying in the repository."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from convserve_server.engine.file_names import is_file_name
from convserve_server.errors import InvalidRequest, LoadFailed


@contextmanager
def uploaded(name: str, files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder of the model ``name`` with ``files`` (VERSION/FILE to content), for as long as it takes to load it.

    Raises InvalidRequest for a path that is not inside of a version's folder, LoadFailed where it cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="convserve-") as folder:
        model = Path(folder) / name
        model.mkdir()
        for path, content in files.items():
            parts = PurePosixPath(path).parts
            if len(parts) != 2 or not parts[0].isdecimal() or not all(map(is_file_name, parts)):
                raise InvalidRequest(f"the file '{path}' is not inside of a version; name it file:VERSION/FILE")
            target = model.joinpath(*parts)
            try:
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(content)
            except OSError as error:
                raise LoadFailed(f"failed to load '{name}': '{path}' cannot be written: {error.strerror}") from error
        yield model
