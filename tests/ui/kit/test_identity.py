"""Who the page says one is, and how it lets one in and out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from herding.ui.kit.identity import identity
from herding.values import Principal, User
from tests.support.herding import GUEST
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop

ADA = replace(principal("ada", "user"), token="abcdefghijkl")
LOCAL = principal("local", "admin")


def test_a_user_sees_name_and_role_and_can_log_out() -> None:
    shown = identity(ADA, User("ada", "Ada Lovelace", "user"))
    assert "Ada Lovelace" in shown
    assert ">user</span>" in shown
    assert '<form method="post" action="logout">' in shown
    assert "Log in" not in shown


@pytest.mark.parametrize(("who", "name"), [(GUEST, "Guest"), (LOCAL, "Local admin")])
def test_whoever_has_no_token_can_log_in(who: Principal, name: str) -> None:
    shown = identity(who, None)
    assert f">{name}</span>" in shown
    assert 'href="login"' in shown
    assert "logout" not in shown


def test_the_operator_is_called_so() -> None:
    assert ">Operator</span>" in identity(replace(LOCAL, id="admin", token="operator"), None)


def test_names_are_characters() -> None:
    assert "<img" not in identity(ADA, User("ada", HOSTILE_TEXT, "user"))
    assert "<img" not in identity(replace(ADA, role=HOSTILE_TEXT), None)


async def test_the_page_says_who_one_is(desktop: Desktop) -> None:
    await desktop.place.accounts.add_user(User("ada", "Ada Lovelace", "user"), desktop.who)
    await desktop.fire("page_load", who=ADA)
    assert "Ada Lovelace" in desktop.value(desktop.page.whom)
    await desktop.fire("page_load", who=replace(ADA, rights=frozenset()))
    assert ">ada</span>" in desktop.value(desktop.page.whom)
