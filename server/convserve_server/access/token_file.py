"""The file of tokens: read at start, followed while the server runs."""

from __future__ import annotations

from pathlib import Path

from convserve_server.access.files import read_file, warn_if_exposed
from convserve_server.access.following import Followed
from convserve_server.access.token_list import parse_tokens
from convserve_server.access.tokens import Tokens
from convserve_server.errors import InvalidSettings


def follow_tokens(path: Path) -> Followed[Tokens]:
    """The tokens of a file, now and after each change. Raises InvalidSettings where it cannot be used at first."""
    return Followed(f"the tokens in {path}", (path,), lambda: read_tokens(path))


def read_tokens(path: Path) -> Tokens:
    """The tokens of a file. Raises InvalidSettings where there are none, or one that cannot be used."""
    content = read_file(path)
    warn_if_exposed(path)
    try:
        # A UnicodeDecodeError is a ValueError that quotes the bytes.
        text = content.decode(errors="replace")
        return parse_tokens(text)
    except ValueError as error:
        raise InvalidSettings(f"{path} cannot be used as a file of tokens: {error}") from None
