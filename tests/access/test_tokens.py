"""The form of access tokens, and what is stored of them."""

from __future__ import annotations

import pytest

from herding.access import tokens
from herding.access.tokens import Secret, mint, parse

KEY = b"k" * 32
ONE = Secret("a" * 12, "b" * 43)


def test_a_new_token_is_long_random_and_read_again() -> None:
    made = [mint() for _ in range(200)]
    assert len({secret.id for secret in made}) == len({secret.secret for secret in made}) == 200
    for secret in made:
        assert parse(secret.text) == secret
        assert len(secret.secret) == 43  # of 62 signs: 256 bits
    assert len(set("".join(secret.secret for secret in made))) == len(tokens.ALPHABET) == 62


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hl_",
        ONE.text[:-1],
        ONE.text + "b",
        ONE.text + "\n",
        " " + ONE.text,
        ONE.text.upper(),
        ONE.text.replace("_", "-"),
        ONE.text.replace("b", "٣"),
        ONE.text.replace("b", "é", 1),
        "hl_' OR 1=1 --_" + "b" * 43,
        "hl_" + "a" * 12 + "_" + "b" * 42 + "\x00",
        "hl_" + "a" * 12 + "_" + "b" * 42 + "\ud800",
        "hl_" + "a" * 1_000_000,
        "hl_" * 100_000,
    ],
)
def test_whatever_has_another_form_is_no_token(text: str) -> None:
    assert parse(text) is None


def test_the_stored_hash_depends_on_id_secret_and_key() -> None:
    digest = ONE.digest(KEY)
    assert len(digest) == 32
    others = [Secret("c" * 12, ONE.secret), Secret(ONE.id, "c" * 43)]
    assert len({digest, ONE.digest(b"other"), *(other.digest(KEY) for other in others)}) == 4
    assert Secret(ONE.id, ONE.secret).digest(KEY) == digest


def test_the_stored_hash_is_no_token() -> None:
    assert parse(ONE.digest(KEY).hex()) is None
    assert parse(f"hl_{ONE.id}_{ONE.digest(KEY).hex()}") is None


def test_a_token_that_is_printed_keeps_its_secret() -> None:
    for shown in (repr(ONE), str(ONE), f"{ONE}", repr([ONE])):
        assert ONE.secret not in shown
        assert ONE.id in shown
