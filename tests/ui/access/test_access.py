"""The tab with tokens and users."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from herding.errors import AccessError, AuthenticationError, NotFoundError
from herding.store import now_ms
from herding.ui.access.new_token import DAY_MS, HIDDEN, NEVER, expires_at, expiry_choices
from herding.ui.access.tokens import MAX_ROWS, TokenView, token_table
from herding.ui.access.users import user_table
from herding.values import Limit, Token, User
from tests.support.herding import GUEST
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop

ADA, BOB = (replace(principal(name, "user"), token=f"{name:a>12}") for name in ("ada", "bob"))


@pytest.fixture
async def office(desktop: Desktop) -> Desktop:
    """The page, in a Herding with two users and the admin."""
    for user in (User("ada", "Ada Lovelace", "user"), User("bob", "Bob", "user"), User("admin", "Boss", "admin")):
        await desktop.place.accounts.add_user(user, desktop.who)
    await desktop.fire("access")
    await desktop.fire("access_users")
    return desktop


def shown_token(desktop: Desktop) -> str:
    """The token on the page."""
    found = re.search(r"hl_\w{12}_\w{43}", desktop.value(desktop.page.access.tokens.secret))
    return found[0] if found else ""


async def create(desktop: Desktop, name: str = "app", *, who: Any = None, **choices: Any) -> str:
    form = desktop.page.access.tokens.form
    for field, value in {"name": name, **choices}.items():
        desktop.set(getattr(form, field), value)
    await desktop.fire("token_create", who=who)
    return shown_token(desktop)


async def role_of(desktop: Desktop, token: str) -> str:
    return (await desktop.place.authenticator.authenticate_token(token, "test")).role


async def test_a_token_is_made_for_a_user_and_works(office: Desktop) -> None:
    form = office.page.access.tokens.form
    assert ("Ada Lovelace · ada", "ada") in office.prop(form.user, "choices")
    token = await create(office, user="ada", days=30)
    found = await office.place.authenticator.authenticate_token(token, "test")
    assert (found.id, found.role) == ("ada", "user")
    assert found.expires_at is not None
    assert 29 * DAY_MS < found.expires_at - now_ms() <= 30 * DAY_MS
    assert office.value(form.name) == ""
    assert "app" in office.value(office.page.access.tokens.list)
    assert await role_of(office, await create(office, user="ada", role="rater", days=NEVER)) == "rater"


async def test_a_token_is_in_one_place_and_gone_after_the_next_action(office: Desktop) -> None:
    tokens = office.page.access.tokens
    token = await create(office, user="ada")
    (listed,) = await office.place.accounts.tokens(office.who)
    carriers = [key for key, props in office.shown.items() if token in str(props) or token[16:] in str(props)]
    assert carriers == [tokens.secret._id]
    assert unescape(office.value(tokens.secret)).count(token) == 2
    assert "Bearer" in office.value(tokens.secret)
    for event, item in [("token_pick", listed.id), ("token_search", None), ("access_tokens", None), ("access", None)]:
        office.set(tokens.secret, token)
        await office.fire(event, item)
        assert office.value(tokens.secret) == HIDDEN, event
    for event in ("hide_token_users", "hide_token_roles", "hide_token_revoke"):
        office.set(tokens.secret, token)
        await office.fire(event)
        assert office.value(tokens.secret) == HIDDEN, event


async def test_a_failed_try_says_why_and_keeps_what_was_typed(office: Desktop) -> None:
    tokens = office.page.access.tokens
    await create(office, user="ada")
    assert not await create(office, "x" * 101, user="ada")
    assert "1 to 100 characters" in office.value(tokens.form.note)
    assert office.value(tokens.form.name) == "x" * 101
    assert not await create(office, user="nobody")
    assert "User not found" in office.value(tokens.form.note)
    assert not await create(office, user="ada", role="admin")
    assert "cannot have more privileges than its user" in office.value(tokens.form.note)
    assert not await create(office, user="ada", role="", days=8)
    assert "Choose when the token expires" in office.value(tokens.form.note)


async def test_a_rotated_token_is_replaced_and_a_revoked_one_is_over(office: Desktop) -> None:
    tokens, authenticator = office.page.access.tokens, office.place.authenticator
    old = await create(office, user="ada", role="")
    (listed,) = await office.place.accounts.tokens(office.who)
    await office.fire("token_pick", listed.id)
    assert office.prop(tokens.rotate, "visible") is True
    await office.fire("token_rotate")
    new = shown_token(office)
    assert new
    assert new != old
    assert "keeps working for 24 hours" in office.value(tokens.secret)
    assert [(await authenticator.authenticate_token(token, "test")).id for token in (old, new)] == ["ada", "ada"]
    assert office.value(tokens.selected) == new[3:15]
    await office.fire("token_revoke_ask")
    assert office.prop(tokens.revoke.row, "visible") is True
    await office.fire("token_revoke")
    with pytest.raises(AuthenticationError):
        await authenticator.authenticate_token(new, "test")
    assert ">revoked<" in office.value(tokens.page)
    assert [office.prop(part, "visible") for part in (tokens.rotate, *tokens.revoke.outputs)] == [False, False, False]


async def test_a_user_sees_and_changes_only_their_own_tokens(office: Desktop) -> None:
    tokens = office.page.access.tokens
    await create(office, user="ada")
    (adas,) = await office.place.accounts.tokens(office.who)
    await office.fire("access", who=BOB)
    assert "No tokens yet" in office.value(tokens.list)
    assert office.prop(tokens.form.user, "visible") is False
    assert [office.prop(tab, "visible") for tab in (office.page.access.tab_users, office.page.access.tab_roles)] == [
        False,
        False,
    ]
    with pytest.raises(NotFoundError):
        await office.fire("token_pick", adas.id, who=BOB)
    office.set(tokens.selected, adas.id)
    for event in ("token_rotate", "token_revoke"):
        with pytest.raises(NotFoundError):
            await office.fire(event, who=BOB)
    token = await create(office, user="ada", who=BOB)
    assert (await office.place.authenticator.authenticate_token(token, "test")).id == "bob"
    assert "adas" not in office.value(tokens.list)
    with pytest.raises(AccessError):
        await office.fire("access", who=GUEST)


async def test_whoever_is_no_user_reads_what_to_do(desktop: Desktop) -> None:
    form = desktop.page.access.tokens.form
    await desktop.fire("access")
    assert "Add a user under Users first" in desktop.value(form.missing)
    assert desktop.prop(form.box, "visible") is False
    await desktop.fire("access", who=replace(GUEST, rights=BOB.rights))
    assert "Ask an admin to add you" in desktop.value(form.missing)


async def test_users_are_added_and_changed(office: Desktop) -> None:
    users, form = office.page.access.users, office.page.access.users.form
    await office.fire("user_new")
    for field, value in {"id": "carl", "name": "", "role": "rater", "limits": "5 requests per 1 hour"}.items():
        office.set(getattr(form, field), value)
    await office.fire("user_save")
    carl = await office.place.accounts.user("carl", office.who)
    assert (carl.name, carl.role, carl.limits) == ("carl", "rater", (Limit("request", 1, 5),))
    assert office.value(users.selected) == "carl"
    assert office.prop(form.id, "interactive") is False
    office.set(form.limits, "5 requests per 1 hour\n7 tokens per day")
    office.set(form.name, "Carl")
    await office.fire("user_save")
    assert "Fix line 2 of the limits, &#x27;7 tokens per day&#x27;" in office.value(form.note)
    assert office.value(form.name) == "Carl"
    assert (await office.place.accounts.user("carl", office.who)).name == "carl"
    office.set(form.limits, "")
    office.set(form.disabled, True)
    await office.fire("user_save")
    carl = await office.place.accounts.user("carl", office.who)
    assert (carl.name, carl.limits, carl.disabled, carl.created_at > 0) == ("Carl", (), True, True)
    assert "disabled" in office.value(users.list)


async def test_a_user_is_found_and_put_into_the_form(office: Desktop) -> None:
    users = office.page.access.users
    office.set(users.search, "LOVE")
    await office.fire("user_search")
    assert "Ada" in office.value(users.list)
    assert "Bob" not in office.value(users.list)
    await office.fire("user_pick", "ada")
    assert office.value(users.form.name) == "Ada Lovelace"
    assert office.value(users.form.save) == "Save changes"
    office.set(users.search, "nothing like it")
    await office.fire("user_search")
    assert "No matching users" in office.value(users.list)
    await office.fire("user_new")
    assert (office.value(users.form.id), office.value(users.selected)) == ("", "")


@pytest.mark.parametrize("event", ["access_users", "user_search", "user_new", "user_pick"])
async def test_only_who_administers_gets_to_the_users(office: Desktop, event: str) -> None:
    with pytest.raises(AccessError):
        await office.fire(event, "ada", who=BOB)


async def test_a_refused_save_of_somebody_else_changes_nothing(office: Desktop) -> None:
    form = office.page.access.users.form
    await office.fire("user_pick", "ada")
    office.set(form.role, "admin")
    await office.fire("user_save", who=BOB)
    assert "Not saved" in office.value(form.note)
    assert (await office.place.accounts.user("ada", office.who)).role == "user"


async def test_hostile_names_are_characters(office: Desktop) -> None:
    name = HOSTILE_TEXT[:90]
    await office.place.accounts.add_user(User("eve", name, "user"), office.who)
    await create(office, name, user="eve")
    await office.fire("access_users")
    await office.fire("user_pick", "eve")
    (token,) = await office.place.accounts.tokens(office.who)
    found = [office.page.access.tokens.secret, office.page.access.tokens.list, office.page.access.users.list]
    for component in (*found, office.page.access.users.form.title):
        assert "&lt;img" in office.value(component)
        assert "<img" not in office.value(component)
    await office.fire("token_pick", token.id)
    assert "<img" not in office.value(office.page.access.tokens.page)


def test_the_list_of_tokens_puts_the_working_ones_first_and_ends_somewhere() -> None:
    now = 100 * DAY_MS
    over = Token("over", "ada", "over", now - 1, "admin", revoked_at=now)
    gone = Token("gone", "ada", "gone", now - 2, "admin", expires_at=now)
    soon = Token("soon", "ada", "soon", now - 3, "admin", expires_at=now + DAY_MS)
    shown = token_table([over, gone, soon], TokenView(now, all_users=True), searched=False)
    assert shown.index("expires soon") < shown.index("revoked") < shown.index("expired")
    assert "user disabled" in token_table([soon], TokenView(now, disabled=frozenset({"ada"})), searched=False)
    many = [replace(over, id=str(number)) for number in range(MAX_ROWS + 1)]
    assert token_table(many, TokenView(now), searched=False).count("data-pick") == MAX_ROWS
    assert "Search to see others" in token_table(many, TokenView(now), searched=False)
    assert "No matching tokens" in token_table([], TokenView(now), searched=True)
    users = [User(f"u{number}", "U", "user") for number in range(MAX_ROWS + 1)]
    assert user_table(users, "", own="u1", searched=False).count("data-pick") == MAX_ROWS


def test_no_token_is_offered_that_outlives_the_one_one_came_with() -> None:
    assert list(expiry_choices(ADA, 0)) == [7, 30, 90, 365, 0]
    assert list(expiry_choices(replace(ADA, expires_at=40 * DAY_MS), 0)) == [7, 30, 0]
    assert expires_at(7, DAY_MS) == 8 * DAY_MS
    assert expires_at(NEVER, DAY_MS) is None
