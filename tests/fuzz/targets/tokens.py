"""The file of tokens: what is no list of them is refused with a sentence, which quotes nothing of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from convserve_server.access.token_file import read_tokens
from convserve_server.errors import InvalidSettings

from fuzz.target import IN_MEMORY, Finding, Target, Try

SECRET = "correct/horse/battery/staple"
"""In every seed: where it is left in an input, it must not be in what is said of it. It can be no name."""


@contextmanager
def _opened() -> Iterator[Try]:
    with TemporaryDirectory(prefix="convserve-fuzz-", dir=IN_MEMORY) as folder:
        path = Path(folder, "tokens.toml")
        path.touch(mode=0o600)

        def attempt(data: bytes) -> str:
            path.write_bytes(data)
            try:
                tokens = read_tokens(path)
            except InvalidSettings as error:
                said = str(error)
                said.encode()
                if SECRET in said:
                    raise Finding(f"a refusal quotes a secret: {said}") from error
                return said
            if SECRET in repr(tokens):
                raise Finding(f"tokens are shown with a secret: {tokens!r}")
            holder = tokens.holder(SECRET)
            return f"OK {len(tokens)} {'' if holder is None else sorted(holder.scopes)}"

        yield attempt


def _seeds() -> Iterator[bytes]:
    web = f'[tokens.web]\nsecret = "{SECRET}"\nscopes = ["infer"]\n'
    ops = f'[tokens."ops@example.org"]\nsha256 = "{"0a" * 32}"\nscopes = ["observe", "administer"]\n'
    yield web.encode()
    yield (ops + web).encode()
    yield f'# a comment\ntokens.a = {{secret = \'{SECRET}\', scopes = ["infer", "infer"]}}\n'.encode()
    yield f'[tokens]\na.secret = """{SECRET}"""\na.scopes = [\n"observe", # one\n]\n'.encode()


TARGET = Target("tokens", _opened, _seeds, structured=False)
