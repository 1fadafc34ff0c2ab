"""The tab with tokens and users."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from herding.errors import AccessError, AuthenticationError, HerdingError, NotFoundError, UserError
from herding.store import now_ms
from herding.ui.access.new_token import DAY_MS, NEVER, expires_at, expiry_choices
from herding.ui.access.tokens import MAX_ROWS, TokenView, token_table
from herding.ui.access.users import user_table
from herding.values import Limit, Principal, Token, User
from tests.support.herding import GUEST
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop, Piece

ADA, BOB = (replace(principal(name, "user"), token=f"{name:a>12}") for name in ("ada", "bob"))


@pytest.fixture
async def office(desktop: Desktop) -> Desktop:
    """The page, in a Herding with two users and the admin."""
    for user in (User("ada", "Ada Lovelace", "user"), User("bob", "Bob", "user"), User("admin", "Boss", "admin")):
        await desktop.place.accounts.add_user(user, desktop.who)
    return desktop


def shown_token(piece: Piece) -> str:
    """The token on the page."""
    found = re.search(r"hl_\w{12}_\w{43}", piece.html)
    return found[0] if found else ""


async def create(
    desktop: Desktop, name: str = "app", *, who: Principal | None = None, days: int | str = 90, **fields: str
) -> Piece:
    return await desktop.post("access/tokens", who=who, name=name, days=str(days), **fields)


async def role_of(desktop: Desktop, token: str) -> str:
    return (await desktop.place.authenticator.authenticate_token(token, "test")).role


async def test_a_token_is_made_for_a_user_and_works(office: Desktop) -> None:
    opened = await office.get("access")
    assert ">Ada Lovelace · ada<" in opened
    assert '<option value="90" selected="">' in opened
    piece = await create(office, user="ada", days=30)
    found = await office.place.authenticator.authenticate_token(shown_token(piece), "test")
    assert (found.id, found.role) == ("ada", "user")
    assert found.expires_at is not None
    assert 29 * DAY_MS < found.expires_at - now_ms() <= 30 * DAY_MS
    assert "token-created" in piece.told
    assert ">app</button>" in piece
    assert await role_of(office, shown_token(await create(office, user="ada", role="rater", days=NEVER))) == "rater"


async def test_a_token_is_in_one_place_and_in_no_later_reply(office: Desktop) -> None:
    piece = await create(office, user="ada")
    token = shown_token(piece)
    assert unescape(piece.html).count(token) == 2
    assert f"Authorization: Bearer {token}" in unescape(piece.html)
    assert "http://herding.test/api/v1/me" in piece
    assert token not in str(piece.told)
    (listed,) = await office.place.accounts.tokens(office.who)
    for path in ("access", "access/tokens", "access/sections/tokens", f"access/tokens/{listed.id}"):
        shown = await office.get(path)
        assert token not in shown
        assert token[16:] not in shown


async def test_a_failed_try_says_why(office: Desktop) -> None:
    form = (await office.get("access/sections/tokens")).html
    for field, fields, told in (
        ("name", {"name": "x" * 101, "user": "ada"}, "1 to 100 characters"),
        ("user", {"user": "nobody"}, "User not found"),
        (None, {"user": "ada", "role": "admin"}, "cannot have more privileges than its user"),
        ("days", {"user": "ada", "days": "8"}, "Choose when the token expires"),
    ):
        with pytest.raises(HerdingError, match=told) as refused:
            await create(office, **fields)  # type: ignore[arg-type]
        assert refused.value.param == field
        assert field is None or f' name="{field}"' in form  # where the page shows the message
    assert list(await office.place.accounts.tokens(office.who)) == []


async def test_a_rotated_token_is_replaced_and_a_revoked_one_is_over(office: Desktop) -> None:
    authenticator = office.place.authenticator
    old = shown_token(await create(office, user="ada"))
    (listed,) = await office.place.accounts.tokens(office.who)
    opened = await office.get(f"access/tokens/{listed.id}")
    assert 'id="token-rotate"' in opened
    assert opened.told["address"] == {"token": listed.id}
    piece = await office.post(f"access/tokens/{listed.id}/rotate")
    new = shown_token(piece)
    assert new
    assert new != old
    assert "keeps working for 24 hours" in piece
    assert [(await authenticator.authenticate_token(token, "test")).id for token in (old, new)] == ["ada", "ada"]
    assert piece.told["address"] == {"token": new[3:15]}
    assert "hx-confirm" in piece
    revoked = await office.post(f"access/tokens/{new[3:15]}/revoke")
    with pytest.raises(AuthenticationError):
        await authenticator.authenticate_token(new, "test")
    assert ">revoked<" in revoked
    assert 'id="token-rotate"' not in revoked
    assert 'id="token-revoke"' not in revoked


async def test_a_user_sees_and_changes_only_their_own_tokens(office: Desktop) -> None:
    await create(office, "adas", user="ada")
    (adas,) = await office.place.accounts.tokens(office.who)
    opened = await office.get("access", who=BOB, section="users", token=adas.id)
    assert "No tokens yet" in opened
    for part in ("adas", 'id="token-user"', "access-users", "access-roles", "access-nav"):
        assert part not in opened
    with pytest.raises(NotFoundError):
        await office.get(f"access/tokens/{adas.id}", who=BOB)
    for action in ("rotate", "revoke"):
        with pytest.raises(NotFoundError):
            await office.post(f"access/tokens/{adas.id}/{action}", who=BOB)
    piece = await create(office, user="ada", who=BOB)
    assert (await office.place.authenticator.authenticate_token(shown_token(piece), "test")).id == "bob"
    assert "adas" not in piece
    for path in ("access", "access/tokens"):
        with pytest.raises(AccessError):
            await office.get(path, who=GUEST)


async def test_a_visitor_who_is_no_user_reads_what_to_do(desktop: Desktop) -> None:
    assert "Add a user under Users first" in await desktop.get("access")
    shown = await desktop.get("access", who=replace(GUEST, rights=BOB.rights))
    assert "Ask an admin to add you" in shown
    assert 'id="token-create"' not in shown


async def test_tokens_are_found(office: Desktop) -> None:
    await create(office, "laptop", user="ada")
    await create(office, "server", user="bob")
    found = await office.get("access/tokens", q="ADA lap")
    assert "laptop" in found
    assert "server" not in found
    assert found.told["address"] == {"q": "ADA lap"}
    assert "No matching tokens" in await office.get("access/tokens", q="nothing like it")


async def test_users_are_added_and_changed(office: Desktop) -> None:
    assert "New user" in await office.get("access/user")
    fields = {"id": "carl", "name": "", "role": "rater", "limits": "5 requests per 1 hour"}
    added = await office.post("access/users", **fields)
    carl = await office.place.accounts.user("carl", office.who)
    assert (carl.name, carl.role, carl.limits) == ("carl", "rater", (Limit("request", 1, 5),))
    assert "Create a token for them under Tokens" in added
    assert added.told["address"] == {"user": "carl"}
    assert re.search(r'<input[^>]*id="user-id"[^>]*disabled|<input[^>]*disabled[^>]*id="user-id"', added.html)
    wrong = {"id": "carl", "name": "Carl", "role": "rater", "limits": "5 requests per 1 hour\n7 tokens per day"}
    with pytest.raises(UserError, match="Fix line 2 of the limits, '7 tokens per day'") as refused:
        await office.post("access/users/carl", **wrong)
    assert refused.value.param == "limits"
    assert (await office.place.accounts.user("carl", office.who)).name == "carl"
    changed = await office.post("access/users/carl", name="Carl", role="rater", limits="", disabled="on", opt_out="on")
    carl = await office.place.accounts.user("carl", office.who)
    assert (carl.name, carl.limits, carl.disabled, carl.opt_out) == ("Carl", (), True, True)
    assert carl.created_at > 0
    assert "Saved." in changed
    assert ">disabled<" in changed
    with pytest.raises(HerdingError, match="already") as refused:
        await office.post("access/users", id="carl", name="Twice", role="rater")
    assert refused.value.param == "id"


async def test_a_user_is_found_and_put_into_the_form(office: Desktop) -> None:
    found = await office.get("access/users", q="LOVE")
    assert "Ada" in found
    assert "Bob" not in found
    form = await office.get("access/users/ada")
    assert 'value="Ada Lovelace"' in form
    assert "Save changes" in form
    assert form.told["address"] == {"user": "ada"}
    assert "No matching users" in await office.get("access/users", q="nothing like it")
    whole = await office.get("access", section="users", user="ada")
    assert 'value="Ada Lovelace"' in whole
    assert "Ended 0 sessions" in await office.post("access/users/ada/sessions")


async def test_only_admins_get_to_the_users(office: Desktop) -> None:
    for path in ("access/users", "access/user", "access/users/ada", "access/sections/users"):
        with pytest.raises(AccessError):
            await office.get(path, who=BOB)
    for path in ("access/users", "access/users/ada", "access/users/ada/sessions"):
        with pytest.raises(AccessError):
            await office.post(path, who=BOB, role="admin", name="x")
    assert (await office.place.accounts.user("ada", office.who)).role == "user"


async def test_hostile_names_are_characters(office: Desktop) -> None:
    name = HOSTILE_TEXT[:90]
    await office.place.accounts.add_user(User("eve", name, "user"), office.who)
    created = await create(office, name, user="eve")
    (token,) = await office.place.accounts.tokens(office.who)
    paths = ("access", f"access/tokens/{token.id}", "access/users", "access/users/eve")
    for piece in (created, *[await office.get(path) for path in paths]):
        assert "&lt;img" in piece
        assert "<img" not in piece


def test_the_list_of_tokens_puts_the_working_ones_first_and_ends_somewhere() -> None:
    now = 100 * DAY_MS
    over = Token("over", "ada", "over", now - 1, "admin", revoked_at=now)
    gone = Token("gone", "ada", "gone", now - 2, "admin", expires_at=now)
    soon = Token("soon", "ada", "soon", now - 3, "admin", expires_at=now + DAY_MS)
    shown = token_table([over, gone, soon], TokenView(now, all_users=True), searched=False)
    assert shown.index("expires soon") < shown.index("revoked") < shown.index("expired")
    assert "user disabled" in token_table([soon], TokenView(now, disabled=frozenset({"ada"})), searched=False)
    many = [replace(over, id=str(number)) for number in range(MAX_ROWS + 1)]
    assert token_table(many, TokenView(now), searched=False).count("data-row") == MAX_ROWS
    assert "Search to see others" in token_table(many, TokenView(now), searched=False)
    assert "No matching tokens" in token_table([], TokenView(now), searched=True)
    users = [User(f"u{number}", "U", "user") for number in range(MAX_ROWS + 1)]
    assert user_table(users, "", own="u1", searched=False).count("data-row") == MAX_ROWS


def test_no_token_is_offered_that_outlives_the_one_one_came_with() -> None:
    assert list(expiry_choices(ADA, 0)) == [7, 30, 90, 365, 0]
    assert list(expiry_choices(replace(ADA, expires_at=40 * DAY_MS), 0)) == [7, 30, 0]
    assert expires_at(7, DAY_MS) == 8 * DAY_MS
    assert expires_at(NEVER, DAY_MS) is None
