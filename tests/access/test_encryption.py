"""Secrets at rest."""

from __future__ import annotations

from herding.access.encryption import Cipher

GIVEN = {"SECRET": "sk-a-very-secret-value", "B": "other"}
PLACE = "vllm at https://models.example:443"


def test_what_is_closed_opens_at_its_place() -> None:
    seal = Cipher(b"k" * 32)
    assert seal.decrypt(seal.encrypt(GIVEN, PLACE), PLACE) == GIVEN


def test_it_tells_nothing_and_is_never_the_same() -> None:
    seal = Cipher(b"k" * 32)
    sealed = {seal.encrypt(GIVEN, PLACE) for _ in range(10)}
    assert len(sealed) == 10
    assert not any(b"secret" in one or b"SECRET" in one for one in sealed)


def test_another_place_another_key_and_another_byte_open_nothing() -> None:
    seal = Cipher(b"k" * 32)
    sealed = seal.encrypt(GIVEN, PLACE)
    assert seal.decrypt(sealed, PLACE.replace("models", "evil")) is None
    assert Cipher(b"j" * 32).decrypt(sealed, PLACE) is None
    assert seal.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]), PLACE) is None
    assert seal.decrypt(sealed[:5], PLACE) is None
    assert seal.decrypt(b"", PLACE) is None
