"""What a browser keeps: a signed name, that cannot be forged, stretched or borrowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from herding.access import sessions
from herding.access.sessions import KINDS, MAX_AGE, Session, new_guest, read, sign

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NOW = 1_800_000_000
ONE = Session("token", "4pWm2QzT8sXc")
COOKIE = sign(ONE, KEY, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_is_read_again_until_it_ends(kind: sessions.Kind) -> None:
    session = Session(kind, "abc123")
    cookie = sign(session, KEY, NOW)
    assert session.max_age == MAX_AGE[kind]
    assert read(cookie, KEY, NOW) == read(cookie, KEY, NOW + MAX_AGE[kind] - 1) == session
    assert read(cookie, KEY, NOW + MAX_AGE[kind]) is None
    assert read(cookie, KEY, NOW - 3600) is None  # made in the future


def test_of_another_key_it_says_nothing() -> None:
    assert read(COOKIE, OTHER_KEY, NOW) is None


@pytest.mark.parametrize("position", range(len(COOKIE) - 1))  # two bits of the last character mean nothing
def test_no_sign_of_it_can_be_altered_or_left_out(position: int) -> None:
    other = "1" if COOKIE[position] != "1" else "2"
    assert read(COOKIE[:position] + other + COOKIE[position + 1 :], KEY, NOW) is None
    assert read(COOKIE[:position] + COOKIE[position + 1 :], KEY, NOW) is None
    assert read(COOKIE[:position], KEY, NOW) is None


def test_a_kind_is_not_exchanged_for_another() -> None:
    guest = sign(Session("guest", "4pWm2QzT8sXc"), KEY, NOW)
    for kind in ("token", "operator", "visitor"):
        assert read(guest.replace("guest", kind), KEY, NOW) is None


def test_a_kind_that_is_none_is_not_read_even_when_signed() -> None:
    assert read(sign(Session("admin", "x"), KEY, NOW), KEY, NOW) is None  # type: ignore[arg-type]
    assert read(sign(Session("token", "a.b"), KEY, NOW), KEY, NOW) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "...",
        "token",
        COOKIE.rpartition(".")[0],
        COOKIE.rpartition(".")[0] + ".",
        COOKIE.rpartition(".")[0] + "." + "0" * 43,
        COOKIE + "\n",
        COOKIE + "." + "0" * 64,
        COOKIE.upper(),
        "x" * 1_000_000,
        "\ud800",
        COOKIE.replace("token", "tokeń"),
        COOKIE.replace(".4", ".٣"),
        COOKIE + " ",
    ],
)
def test_what_is_no_session_says_nothing(value: str) -> None:
    assert read(value, KEY, NOW) is None


@given(st.text(max_size=120))
def test_no_text_is_a_session_or_breaks_anything(value: str) -> None:
    assert read(value, KEY, NOW) is None


def test_a_session_holds_no_token() -> None:
    assert COOKIE.split(".")[:2] == ["token", "4pWm2QzT8sXc"]
    assert "hl_" not in COOKIE


def test_every_guest_is_somebody_new() -> None:
    made = {new_guest().id for _ in range(100)}
    assert len(made) == 100
    assert {len(id) for id in made} == {32}
    assert new_guest("visitor").kind == "visitor"
