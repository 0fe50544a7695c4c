"""What a file of tokens may say; what it may not is named without showing a secret."""

from __future__ import annotations

import re

import pytest
from convserve_server.access.making import make_token
from convserve_server.access.token_list import parse_tokens
from convserve_server.access.tokens import Scope, digest_of
from convserve_server.errors import InvalidSettings

SECRET = "correct-horse-battery-staple"
SCOPES = 'scopes = ["infer"]'


def test_a_token_is_given_by_its_secret_or_by_the_digest_of_it() -> None:
    tokens = parse_tokens(
        f'[tokens.web]\nsecret = "{SECRET}"\n{SCOPES}\n'
        f'[tokens."ops@example.org"]\nsha256 = "{digest_of("another").hex().upper()}"\n'
        'scopes = ["observe", "administer"]\n'
    )
    web, ops = tokens.holder(SECRET), tokens.holder("another")
    assert web is not None
    assert ops is not None
    assert (web.name, web.scopes) == ("web", frozenset({Scope.INFER}))
    assert (ops.name, ops.scopes) == ("ops@example.org", frozenset({Scope.OBSERVE, Scope.ADMINISTER}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "one table a token, [tokens.NAME], and nothing else"),
        ("[tokens]", "one table a token"),
        (f'token = "{SECRET}"', "one table a token"),
        (f"{SECRET}\n", "it is no TOML: see line 1, column"),
        (f'[tokens.web]\nsecret = "{SECRET}', "it is no TOML: see "),
        (f"[tokens.web]\nsecret = {SECRET}\n{SCOPES}", "it is no TOML: see line 2, column"),
        (f'[tokens.web]\nsecret = "{SECRET}"\n{SCOPES}\n[tokens.web]', "it is no TOML"),
        (f'[tokens."(at {SECRET}"]\nx = 1\n[tokens."(at {SECRET}"]', "it is no TOML: see line 3, column"),
        ("a = " + "[" * 20_000, "nested too deeply"),
        (f'[tokens."a b"]\nsecret = "{SECRET}"\n{SCOPES}', "the name of token 1 must be"),
        (f'[tokens."a\\nb"]\nsecret = "{SECRET}"\n{SCOPES}', "the name of token 1 must be"),
        (f'[tokens.web]\nsecret = "{SECRET}"', "token 'web': scopes must be a list"),
        (f'[tokens.web]\nsecret = "{SECRET}"\nscopes = []', "token 'web': scopes must be a list"),
        (f'[tokens.web]\nsecret = "{SECRET}"\nscopes = "infer"', "token 'web': scopes must be a list"),
        (f'[tokens.web]\nsecret = "{SECRET}"\nscopes = ["root"]', "none of infer, observe, administer"),
        (f'[tokens.web]\nsecret = "{SECRET}"\nscopes = [1]', "none of infer, observe, administer"),
        (f"[tokens.web]\n{SCOPES}", "token 'web': it has neither sha256 nor secret"),
        (f'[tokens.web]\nsecret = "short"\n{SCOPES}', "secret must be 20 or more printable"),
        (f'[tokens.web]\nsecret = "{SECRET} {SECRET}"\n{SCOPES}', "secret must be 20 or more printable"),
        (f"[tokens.web]\nsecret = 12345678901234567890\n{SCOPES}", "secret must be 20 or more printable"),
        (f'[tokens.web]\nsha256 = "{SECRET}"\n{SCOPES}', "sha256 must be 64 hexadecimal digits"),
        (f'[tokens.web]\nsha256 = "{"0" * 64}"\nsecret = "{SECRET}"\n{SCOPES}', "both sha256 and secret"),
        (f'[tokens.web]\nsecret = "{SECRET}"\n{SCOPES}\nnote = "{SECRET}"', "it has something else"),
        (
            f'[tokens.a]\nsecret = "{SECRET}"\n{SCOPES}\n[tokens.b]\nsha256 = "{digest_of(SECRET).hex()}"\n{SCOPES}',
            "tokens 'a' and 'b' have the same secret",
        ),
    ],
)
def test_what_cannot_be_used_is_named_without_the_secret(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        parse_tokens(text)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_made_token_fits_the_lines_that_are_made_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = []
    for _ in range(2):
        assert make_token("web") == 0
        printed = capsys.readouterr()
        secret = printed.err.splitlines()[-1]
        assert secret not in printed.out
        holder = parse_tokens(printed.out).holder(secret)
        assert holder is not None
        assert (holder.name, holder.scopes) == ("web", frozenset({Scope.INFER}))
        secrets.append(secret)
    assert len(set(secrets)) == 2
    assert min(map(len, secrets)) >= 43


@pytest.mark.parametrize("name", ["", "a b", 'a"]\n[x', "ä"])
def test_a_name_that_a_token_cannot_have_makes_none(name: str) -> None:
    with pytest.raises(InvalidSettings, match="--make-token is"):
        make_token(name)
