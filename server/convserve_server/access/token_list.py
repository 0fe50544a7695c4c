"""The text of a file of tokens, in TOML, and what it says.

[tokens.web-frontend]                 a name for logs, of your choice
sha256 = "9f86d0...64 hex digits"     of the secret; or secret = "..." itself
scopes = ["infer", "observe"]         infer, observe, administer
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from convserve_server.access.tokens import Holder, Scope, Tokens, digest_of

SHORTEST_SECRET = 20
"""Characters. The digest of a short secret can be guessed back."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_SECRET = re.compile(r"[!-~]+")  # printable ASCII without the space
_PLACE = re.compile(r"\(at (line \d+, column \d+|end of document)\)$")
_ENTRY = {"sha256", "secret", "scopes"}


def parse_tokens(text: str) -> Tokens:
    """The tokens that a text lists. Raises ValueError with a sentence, which never quotes what may be a secret."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The rest of the error may quote what stands there.
        place = _PLACE.search(str(error))
        raise ValueError(f"it is no TOML: see {place[1] if place else 'its end'}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply for a list of tokens") from None
    tables = document.pop("tokens", None)
    if document or not isinstance(tables, dict) or not tables:
        raise ValueError("it must have one table a token, [tokens.NAME], and nothing else")
    known: dict[bytes, Holder] = {}
    for digest, holder in _entries(tables):
        if digest in known:
            raise ValueError(f"tokens '{known[digest].name}' and '{holder.name}' have the same secret")
        known[digest] = holder
    return Tokens(known.items())


def _entries(tables: dict[str, Any]) -> Iterator[tuple[bytes, Holder]]:
    for number, (name, entry) in enumerate(tables.items(), start=1):
        if not _NAME.fullmatch(name):
            raise ValueError(f"the name of token {number} must be letters, digits, '.', '_', '@', '-'; 64 at most")
        if not isinstance(entry, dict) or entry.keys() - _ENTRY:
            raise ValueError(f"token '{name}' takes sha256 or secret, and scopes; it has something else")
        try:
            yield _digest(entry), Holder(name, _scopes(entry.get("scopes")))
        except ValueError as error:
            raise ValueError(f"token '{name}': {error}") from None


def _digest(entry: dict[str, Any]) -> bytes:
    match entry:
        case {"sha256": _, "secret": _}:
            raise ValueError("it has both sha256 and secret; give one of them")
        case {"sha256": str(text)} if _SHA256.fullmatch(text):
            return bytes.fromhex(text)
        case {"sha256": _}:
            raise ValueError("sha256 must be 64 hexadecimal digits")
        case {"secret": str(text)} if len(text) >= SHORTEST_SECRET and _SECRET.fullmatch(text):
            return digest_of(text)
        case {"secret": _}:
            raise ValueError(f"secret must be {SHORTEST_SECRET} or more printable ASCII characters without a space")
    raise ValueError("it has neither sha256 nor secret")


def _scopes(given: Any) -> frozenset[Scope]:
    choices = ", ".join(Scope)
    if not isinstance(given, list) or not given:
        raise ValueError(f"scopes must be a list with at least one of {choices}")
    try:
        return frozenset(Scope(scope) for scope in given)
    except ValueError:
        raise ValueError(f"scopes has something that is none of {choices}") from None
