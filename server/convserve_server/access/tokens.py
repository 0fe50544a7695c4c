"""Bearer tokens: whose they are, what they allow, and whether one that was sent is among them.

Knows neither gRPC nor HTTP nor files: who has an Authorization header, of whatever protocol, asks authorize().
"""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from convserve_server.errors import PermissionDenied, Unauthenticated

HOW_TO_SEND = "authorization: Bearer TOKEN"


class Scope(enum.StrEnum):
    """What a caller may do. None of them includes another: a token names all that it is for."""

    INFER = "infer"
    """Have models run."""
    OBSERVE = "observe"
    """Ask what is served, how, and how it is doing."""
    ADMINISTER = "administer"
    """Change the server for everybody: models, shared memory, trace and log settings."""


@dataclass(frozen=True)
class Holder:
    """Whose a token is: a name for logs, and what it allows."""

    name: str
    scopes: frozenset[Scope]


def digest_of(secret: str) -> bytes:
    """What is kept of a secret: its SHA-256, 32 bytes. Secrets are long and random, so that nobody can guess back."""
    return hashlib.sha256(secret.encode(errors="replace")).digest()


class Tokens:
    """The tokens that are known. Immutable; safe for all threads. Holds no secret, only digests."""

    def __init__(self, known: Iterable[tuple[bytes, Holder]]) -> None:
        self._known = tuple(known)

    def __repr__(self) -> str:
        return f"Tokens({', '.join(holder.name for _, holder in self._known)})"

    def __len__(self) -> int:
        return len(self._known)

    def holder(self, secret: str) -> Holder | None:
        """Whose token this is. Takes as long for a wrong one as for any right one."""
        sent = digest_of(secret)
        found = None
        # All are compared, whichever it is, and each in constant time.
        for digest, holder in self._known:
            if hmac.compare_digest(digest, sent):
                found = holder
        return found


def authenticate(tokens: Tokens, header: str | None) -> Holder:
    """Whose token an Authorization header carries.

    Raises Unauthenticated for a header that is missing, malformed or unknown, with a sentence that has no secret in it.
    """
    if header is None:
        raise Unauthenticated(f"no token was sent, and this server asks for one: send '{HOW_TO_SEND}'")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated(f"the authorization that was sent is no bearer token: send '{HOW_TO_SEND}'")
    holder = tokens.holder(secret)
    if holder is None:
        raise Unauthenticated(
            "the token that was sent is not known here, or not any more: ask whoever runs this server for another"
        )
    return holder


def authorize(tokens: Tokens, header: str | None, scope: Scope, what: str) -> Holder:
    """Whose token an Authorization header carries, if that allows ``scope``.

    ``what`` is the call or page that is asked for, by a name for people. Raises what authenticate() raises, the same
    whatever was asked for, and PermissionDenied for a token without the scope.
    """
    holder = authenticate(tokens, header)
    if scope not in holder.scopes:
        raise PermissionDenied(
            f"{what} needs a token with scope {scope}, and the one that was sent ('{holder.name}') has "
            f"{', '.join(sorted(holder.scopes))} only"
        )
    return holder
