"""Whose a token is, what it allows, and what is said where it does not."""

from __future__ import annotations

import hmac

import pytest
from convserve_server.access.tokens import Holder, Scope, Tokens, authorize, digest_of
from convserve_server.errors import PermissionDenied, Unauthenticated

SECRETS = {name: f"{name}-secret-0123456789" for name in ("web", "probe", "operator")}
TOKENS = Tokens(
    (digest_of(SECRETS[name]), Holder(name, frozenset(scopes)))
    for name, scopes in (
        ("web", [Scope.INFER]),
        ("probe", [Scope.OBSERVE]),
        ("operator", [Scope.OBSERVE, Scope.ADMINISTER]),
    )
)


@pytest.mark.parametrize("name", SECRETS)
def test_each_of_several_tokens_is_known_by_its_secret(name: str) -> None:
    holder = TOKENS.holder(SECRETS[name])
    assert holder is not None
    assert holder.name == name


@pytest.mark.parametrize(
    "secret", ["", "web", "web-secret-012345678", "web-secret-0123456789 ", "\udcff", "x" * 10_000]
)
def test_what_is_no_token_is_nobodys(secret: str) -> None:
    assert TOKENS.holder(secret) is None


@pytest.mark.parametrize("secret", [*SECRETS.values(), "unknown"])
def test_every_token_is_compared_in_constant_time_whichever_was_sent(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    constant_time = hmac.compare_digest

    def compare(known: bytes, sent: bytes) -> bool:
        compared.append((known, sent))
        return constant_time(known, sent)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    TOKENS.holder(secret)
    assert compared == [(digest_of(known), digest_of(secret)) for known in SECRETS.values()]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_with_the_scope_is_let_in(scheme: str) -> None:
    assert authorize(TOKENS, f"{scheme} {SECRETS['web']}", Scope.INFER, "ModelInfer").name == "web"


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (None, "no token was sent, and this server asks for one: send 'authorization: Bearer TOKEN'"),
        ("", "is no bearer token"),
        ("Bearer", "is no bearer token"),
        ("Bearer ", "is no bearer token"),
        (SECRETS["web"], "is no bearer token"),
        (f"Basic {SECRETS['web']}", "is no bearer token"),
        ("Bearer guessed-0123456789-guessed", "not known here"),
        (f"Bearer {SECRETS['web']},", "not known here"),
    ],
)
def test_who_has_none_is_told_so_and_not_what_there_is(header: str | None, sentence: str) -> None:
    heard = set()
    for scope, what in ((Scope.INFER, "ModelInfer"), (Scope.ADMINISTER, "LogSettings")):
        with pytest.raises(Unauthenticated, match=sentence) as caught:
            authorize(TOKENS, header, scope, what)
        heard.add(str(caught.value))
    assert len(heard) == 1
    if header:
        assert header.split()[-1] not in heard.pop().replace("Bearer TOKEN", "")


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("name", SECRETS)
def test_no_scope_includes_another(name: str, scope: Scope) -> None:
    holder = TOKENS.holder(SECRETS[name])
    assert holder is not None
    if scope in holder.scopes:
        authorize(TOKENS, f"Bearer {SECRETS[name]}", scope, "ModelInfer")
        return
    with pytest.raises(PermissionDenied) as caught:
        authorize(TOKENS, f"Bearer {SECRETS[name]}", scope, "ModelInfer")
    assert str(caught.value) == (
        f"ModelInfer needs a token with scope {scope}, and the one that was sent ('{name}') has "
        f"{', '.join(sorted(holder.scopes))} only"
    )


def test_neither_secrets_nor_digests_are_shown() -> None:
    assert repr(TOKENS) == "Tokens(web, probe, operator)"
