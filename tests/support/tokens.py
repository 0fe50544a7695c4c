"""A file of tokens for tests: one token a scope."""

from __future__ import annotations

from pathlib import Path

from convserve_server.access.tokens import Scope, digest_of

SECRETS = {scope: f"S3CR3T-{scope}-0123456789abcdef" for scope in Scope}


def write_tokens(path: Path, secrets: dict[Scope, str] | None = None) -> Path:
    """Write a file with a token for each scope, by its digest."""
    tables = [
        f'[tokens.{scope}-only]\nsha256 = "{digest_of(secret).hex()}"\nscopes = ["{scope}"]\n'
        for scope, secret in (SECRETS if secrets is None else secrets).items()
    ]
    path.touch(mode=0o600)
    path.write_text("\n".join(tables))
    return path


def bearer(secret: str) -> tuple[tuple[str, str], ...]:
    """The metadata that carries a token."""
    return (("authorization", f"Bearer {secret}"),)
