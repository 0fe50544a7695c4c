"""Makes a token: the secret for the caller, and the lines for the server's file, which do not have it."""

from __future__ import annotations

import secrets
import sys

from convserve_server.access.token_list import parse_tokens
from convserve_server.access.tokens import digest_of
from convserve_server.errors import InvalidSettings


def make_token(name: str) -> int:
    """Print the file's lines to standard output and the secret to standard error; gives the exit code, 0.

    Raises InvalidSettings for a name that a token cannot have.
    """
    secret = secrets.token_urlsafe(32)
    lines = f'[tokens."{name}"]\nsha256 = "{digest_of(secret).hex()}"\nscopes = ["infer"]\n'
    try:
        parse_tokens(lines)
    except ValueError as error:
        raise InvalidSettings(f"--make-token is '{name}': {error}") from None
    print(lines)
    sys.stdout.flush()
    print(f"The token of {name}, shown this once; the lines on standard output do not have it:", file=sys.stderr)
    print(secret, file=sys.stderr)
    return 0
