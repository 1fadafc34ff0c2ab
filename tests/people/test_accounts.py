"""Who may hand out and take back what."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herding.access.operations import ADMINISTER, HISTORY, PATHS, RIGHTS, TABS, TOKENS, USAGE, USERS
from herding.access.privilege_check import excess_privileges
from herding.access.tokens import mint
from herding.errors import AccessError, AuthenticationError, HerdingError, LimitError, NotFoundError, UserError
from herding.people.accounts import OVERLAP_MS, Accounts
from herding.store import Store
from herding.values import Limit, Outcome, Principal, Token, User
from tests.support.database import reserve
from tests.support.people import principal
from tests.support.people_parts import BOSS, HERE, OPERATOR_TOKEN, SHIPPED, House, housing, public

DAY_MS = 24 * 3600 * 1000
EVE = User("eve", "Eve", "user")
NOBODY = Principal("nobody", "none", frozenset())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housing(tmp_path) as made:
        yield made


# Rights

CASES: dict[str, tuple[set[str], Callable[[Accounts, Principal], Any]]] = {
    "users": ({USERS, ADMINISTER}, lambda a, who: a.users(who)),
    "user": ({USERS, ADMINISTER}, lambda a, who: a.user("ada", who)),
    "add_user": ({USERS, ADMINISTER}, lambda a, who: a.add_user(EVE, who)),
    "change_user": ({USERS, ADMINISTER}, lambda a, who: a.change_user(EVE, who)),
    "tokens": ({TOKENS}, lambda a, who: a.tokens(who)),
    "create_token": ({TOKENS}, lambda a, who: a.create_token("ada", "x", who)),
    "revoke": ({TOKENS}, lambda a, who: a.revoke("x" * 12, who)),
    "rotate": ({TOKENS}, lambda a, who: a.rotate("x" * 12, who)),
    "me": ({USAGE}, lambda a, who: a.me(who)),
    "opt_out": ({USAGE}, lambda a, who: a.opt_out(True, who)),
    "usage": ({USAGE}, lambda a, who: a.usage(who)),
    "forget": ({HISTORY}, lambda a, who: a.forget(None, who)),
    "sessions": ({USAGE}, lambda a, who: a.sessions(who)),
    "end_sessions": ({USAGE}, lambda a, who: a.end_sessions(who)),
    "end_sessions_of": ({USERS, ADMINISTER}, lambda a, who: a.end_sessions_of("ada", who)),
    "stored_drafts": ({USAGE}, lambda a, who: a.stored_drafts(who)),
    "forget_drafts": ({USAGE}, lambda a, who: a.forget_drafts(who)),
    "roles": ({USERS, ADMINISTER}, lambda a, who: a.roles(who)),
    "role_names": ({TOKENS}, lambda a, who: a.role_names(who)),
    "save_roles": ({USERS, ADMINISTER}, lambda a, who: a.save_roles("", "", who)),
}
NO_PRINCIPAL = {"first_token", "watch"}
"""For the start of the app, and beside the requests."""


async def do(asked: Any) -> Any:
    return await asked if inspect.isawaitable(asked) else asked


def test_every_public_method_has_a_case() -> None:
    found = {name for name, _ in inspect.getmembers(Accounts, callable) if not name.startswith("_")}
    assert found == CASES.keys() | NO_PRINCIPAL


@pytest.mark.parametrize("name", CASES)
async def test_each_right_is_needed(house: House, name: str) -> None:
    await house.user("ada", "rater")
    needed, case = CASES[name]
    before = (await house.store.users(), await house.store.tokens(None), house.file.read_bytes())
    lacking = [replace(BOSS, rights=BOSS.rights - {right}) for right in sorted(needed)]
    for who in (*lacking, NOBODY, replace(NOBODY, id="ada")):
        with pytest.raises(AccessError):
            await do(case(house.accounts, who))
    assert (await house.store.users(), await house.store.tokens(None), house.file.read_bytes()) == before


@pytest.mark.parametrize("name", CASES)
async def test_with_all_rights_nothing_is_refused(house: House, name: str) -> None:
    await house.user("ada")
    try:
        await do(CASES[name][1](house.accounts, BOSS))
    except AccessError:
        raise
    except UserError:
        pass  # there is no such token, or the roles are no roles


@pytest.mark.parametrize("role", ["guest", "rater", "user"])
async def test_the_shipped_roles_keep_users_and_roles_to_the_admin(house: House, role: str) -> None:
    for name, (needed, case) in CASES.items():
        if ADMINISTER in needed:
            with pytest.raises(AccessError):
                await do(case(house.accounts, principal("ada", role))), name


# Users


async def test_a_user_is_added_and_changed(house: House) -> None:
    made = await house.accounts.add_user(replace(EVE, limits=(Limit("token", 1, 5),), created_at=7), BOSS)
    assert made == replace(EVE, limits=(Limit("token", 1, 5),), created_at=house.time.ms)
    assert await house.accounts.user("eve", BOSS) == made
    house.time.passes(5)
    changed = await house.accounts.change_user(replace(made, name=" Eve\n the  second ", role="rater"), BOSS)
    assert changed == replace(made, name="Eve the second", role="rater")
    assert await house.accounts.users(BOSS) == (changed,)


async def test_whose_role_is_gone_can_still_be_disabled_and_gets_another(house: House) -> None:
    house.write_roles(f"{SHIPPED}  shop: {{}}\n")
    made = await house.accounts.add_user(replace(EVE, role="shop"), BOSS)
    house.write_roles(SHIPPED)
    disabled = await house.accounts.change_user(replace(made, disabled=True), BOSS)
    assert (disabled.role, disabled.disabled) == ("shop", True)
    assert (await house.accounts.change_user(replace(disabled, role="rater"), BOSS)).role == "rater"
    with pytest.raises(UserError, match="Role not found"):
        await house.accounts.change_user(made, BOSS)


@pytest.mark.parametrize(
    "id",
    ["", "a b", "guest:1", "local", "Local", "OPERATOR", "guest", "guests", "a/b", "é", "-x", "x" * 65, "a\n", "\x00"],
)
async def test_an_id_that_could_be_taken_for_somebody_elses_is_refused(house: House, id: str) -> None:
    with pytest.raises(UserError) as caught:
        await house.accounts.add_user(replace(EVE, id=id), BOSS)
    assert caught.value.param == "id"
    assert await house.store.users() == ()


async def test_nobody_weaker_has_the_id_of_the_operator_whose_requests_would_be_theirs(house: House) -> None:
    boss = replace(BOSS, id="boss")
    for id in ("admin", "Admin"):
        with pytest.raises(UserError, match="always an admin") as caught:
            await house.accounts.add_user(replace(EVE, id=id), boss)
        assert caught.value.param == "role"
    made = await house.accounts.add_user(replace(EVE, id="admin", role="admin"), boss)
    with pytest.raises(UserError, match="always an admin"):
        await house.accounts.change_user(replace(made, role="rater"), boss)


@pytest.mark.parametrize("name", ["👩\u200d👩\u200d👧", "名前", "أحمد", "Zoe\u0308", "!", "O'Neil & <b>Söhne</b>"])
async def test_a_name_is_in_any_language(house: House, name: str) -> None:
    assert (await house.accounts.add_user(replace(EVE, id="new", name=f" {name}\n"), BOSS)).name == name


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"role": "king"}, "role"),
        ({"role": ""}, "role"),
        ({"name": "x" * 101}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "\x1b[2Jgone"}, "name"),
        ({"name": "exe.\u202egpj"}, "name"),
        ({"name": "\u2068apart"}, "name"),
        ({"name": "\u200b\ufe0f"}, "name"),
        ({"limits": (Limit("request", 1, 1),) * 11}, "limits"),
        ({"limits": (Limit("money", 1, 1),)}, "limits"),  # type: ignore[arg-type]
        ({"limits": (Limit("request", 0, 1),)}, "limits"),
        ({"limits": (Limit("request", 745, 1),)}, "limits"),
        ({"limits": (Limit("request", float("nan"), 1),)}, "limits"),
        ({"limits": (Limit("request", 1, -1),)}, "limits"),
        ({"limits": (Limit("request", 1, 10**12 + 1),)}, "limits"),
    ],
)
async def test_a_user_that_makes_no_sense_is_refused(house: House, change: dict[str, Any], param: str) -> None:
    made = await house.user("eve")
    for attempt in (
        house.accounts.add_user(replace(EVE, id="new", **change), BOSS),
        house.accounts.change_user(replace(made, **change), BOSS),
    ):
        with pytest.raises(UserError) as caught:
            await attempt
        assert caught.value.param == param
    assert await house.store.users() == (made,)


async def test_nobody_disables_or_demotes_themselves(house: House) -> None:
    ada = await house.user("ada", "admin")
    who = await house.enters(await house.token())
    for changed in (replace(ada, disabled=True), replace(ada, role="user")):
        with pytest.raises(UserError, match="another admin"):
            await house.accounts.change_user(changed, who)
    assert (await house.accounts.change_user(replace(ada, name="A"), who)).name == "A"


async def test_a_change_of_nobody_is_refused(house: House) -> None:
    with pytest.raises(NotFoundError):
        await house.accounts.change_user(EVE, BOSS)


# Nobody gives what they do not have

NAMES = ("one", "two", "three")
GLOBS = st.sampled_from(["*", "a", "a*", "team/*", "team/x", "?", "[ab]"])
LIMITS = st.builds(
    Limit, st.sampled_from(["request", "token"]), st.sampled_from([1.0, 24.0]), st.sampled_from([0, 5, 100])
)
OFTEN = ["/api/v1/tokens", "/api/v1/users", "/api/v1/infer"]


def some(from_: Sequence[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(sorted(from_)), max_size=3, unique=True)


@st.composite
def role(draw: st.DrawFn) -> dict[str, Any]:
    """A role as its file says it."""
    paths = ["*"] if draw(st.booleans()) else OFTEN[: draw(st.integers(0, 3))] + draw(some(list(PATHS)))
    limits = draw(st.lists(LIMITS, max_size=2))
    return {
        "allow_api_paths": paths,
        "rights": ["*"] if draw(st.booleans()) else draw(some(list(RIGHTS))),
        "allow_tabs": draw(some(TABS)),
        "allow_nodes": draw(st.lists(GLOBS, max_size=2)),
        "allow_prompts": draw(st.lists(GLOBS, max_size=2)),
        "limits": [{"type": lim.type, "interval": lim.interval_hours, "limit": lim.limit} for lim in limits],
    }


ALL: dict[str, Any] = {
    "allow_api_paths": ["*"],
    "rights": ["*"],
    "allow_tabs": ["*"],
    "allow_nodes": ["*"],
    "allow_prompts": ["*"],
}
ROLES = st.fixed_dictionaries({name: role() for name in NAMES})
ROLE_NAMES = st.sampled_from((*NAMES, "admin", "guest"))
OWN_LIMITS = st.lists(LIMITS, max_size=2).map(tuple)
ENDS = st.sampled_from([None, 1_000, 5_000])


async def person(house: House, id: str, of: str, limits: tuple[Limit, ...] = (), **token: Any) -> Principal:
    """Somebody who came in with a token that was made without asking anybody."""
    await house.store.add_user(User(id, id, of, limits))
    secret = mint()
    made = Token(secret.id, id, "x", house.time.ms, "test", **token)
    await house.store.add_token(made, house.authenticator.digest(secret))
    return await house.enters(secret.text)


def assert_not_more(made: Principal, who: Principal) -> None:
    assert excess_privileges(made, who) is None
    assert made.rights <= who.rights
    assert made.role != "admin" or who.role == "admin"
    if who.expires_at is not None:
        assert made.expires_at is not None
        assert made.expires_at <= who.expires_at


_numbers = count()


@pytest.mark.slow
@settings(max_examples=150)
@given(roles=ROLES, data=st.data())
async def test_what_somebody_makes_can_do_no_more_than_they_can(
    house: House, roles: dict[str, Any], data: st.DataObject
) -> None:
    number = next(_numbers)
    mine, weaker, limits = data.draw(ROLE_NAMES), data.draw(st.none() | ROLE_NAMES), data.draw(OWN_LIMITS)
    ends = data.draw(ENDS)
    house.write_roles(json.dumps({"roles": {"guest": {}, "admin": ALL, **roles}}))
    now = house.time.ms
    who = await person(house, f"me{number}", mine, limits, role=weaker, expires_at=ends and now + ends)
    other = await person(house, f"other{number}", data.draw(ROLE_NAMES), data.draw(OWN_LIMITS))
    [others_token] = await house.store.tokens(other.id)

    async def attempt(asked: Any) -> Any:
        try:
            return await asked
        except (AccessError, UserError):
            return None

    for of in (who.id, other.id):
        until = data.draw(ENDS)
        asked: dict[str, Any] = {"role": data.draw(st.none() | ROLE_NAMES), "expires_at": until and now + until}
        if made := await attempt(house.accounts.create_token(of, "made", who, **asked)):
            assert_not_more(await house.enters(made[1]), who)
    if made := await attempt(house.accounts.rotate(others_token.id, who)):
        assert_not_more(await house.enters(made[1]), who)
    new = User(f"new{number}", "N", data.draw(ROLE_NAMES), data.draw(OWN_LIMITS))
    if user := await attempt(house.accounts.add_user(new, who)):
        assert_not_more(await who_is(house, user), replace(who, expires_at=None))
    changed = User(other.id, "O", data.draw(ROLE_NAMES), data.draw(OWN_LIMITS))
    if user := await attempt(house.accounts.change_user(changed, who)):
        assert_not_more(await who_is(house, user), replace(who, expires_at=None))
        assert excess_privileges(other, who) is None  # nor is anybody changed who could do more
    own = User(who.id, "M", data.draw(ROLE_NAMES), data.draw(OWN_LIMITS))
    if user := await attempt(house.accounts.change_user(own, who)):
        assert_not_more(await who_is(house, user), replace(who, expires_at=None))


async def who_is(house: House, user: User) -> Principal:
    """What a user can do with a token of their own role."""
    secret = mint()
    await house.store.add_token(Token(secret.id, user.id, "x", 1, "test"), house.authenticator.digest(secret))
    return await house.enters(secret.text)


@pytest.mark.slow
@settings(max_examples=60)
@given(roles=ROLES, mine=ROLE_NAMES, limits=OWN_LIMITS)
async def test_the_roles_that_are_offered_for_a_token_are_those_that_can_be_given(
    house: House, roles: dict[str, Any], mine: str, limits: tuple[Limit, ...]
) -> None:
    roles = {name: {**found, "allow_api_paths": ["*"]} for name, found in roles.items()}
    house.write_roles(json.dumps({"roles": {"guest": {}, "admin": ALL, **roles}}))
    who = await person(house, f"offered{next(_numbers)}", mine, limits)
    if TOKENS not in who.rights:
        return
    offered = house.accounts.role_names(who)
    asked = {name: house.accounts.create_token(who.id, "x", who, role=name) for name in house.roles.names}
    ends = await asyncio.gather(*asked.values(), return_exceptions=True)
    given = {name for name, end in zip(asked, ends, strict=True) if not isinstance(end, AccessError)}
    assert given - {"admin"} == set(offered) - {"admin"}


async def test_whoever_has_limits_of_their_own_can_still_make_a_token(house: House) -> None:
    await house.user("ada", "user", limits=(Limit("request", 1, 3),))
    who = await house.enters(await house.token())
    assert house.accounts.role_names(who) == ("guest", "rater", "user")
    _, text = await house.accounts.create_token("ada", "mine", who, role="rater")
    assert Limit("request", 1, 3) in (await house.enters(text)).limits


MANAGER = """
  manager:
    allow_api_paths: [/api/v1/users, /api/v1/tokens, /api/v1/infer]
    allow_tabs: [access]
    rights: [administer]
"""


async def test_who_may_not_do_everything_may_not_write_the_roles(house: House) -> None:
    house.write_roles(SHIPPED + MANAGER)
    await house.user("max", "manager")
    who = await house.enters(await house.token("max"))
    notes = await house.accounts.roles(who)
    more = notes.text.replace("rights: [administer]", "rights: ['*']")
    with pytest.raises(AccessError, match="you lack"):
        await house.accounts.save_roles(more, notes.digest, who)
    assert house.file.read_text() == SHIPPED + MANAGER


async def test_a_manager_touches_no_admin(house: House) -> None:
    house.write_roles(SHIPPED + MANAGER)
    admin = await house.user("ada", "admin")
    await house.user("max", "manager")
    token, who = await house.token("ada"), await house.enters(await house.token("max"))
    for attempt in (
        house.accounts.change_user(replace(admin, disabled=True), who),
        house.accounts.change_user(replace(admin, role="rater"), who),
        house.accounts.create_token("ada", "x", who),
        house.accounts.create_token("ada", "x", who, role="manager"),
        house.accounts.revoke(public(token), who),
        house.accounts.rotate(public(token), who),
        house.accounts.add_user(replace(EVE, role="admin"), who),
    ):
        with pytest.raises(AccessError):
            await attempt
    assert (await house.enters(token)).role == "admin"
    assert await house.store.user("ada") == admin


async def test_only_an_admin_makes_an_admin(house: House) -> None:
    king = SHIPPED + SHIPPED.partition("  admin:")[2].join(["  king:", ""])
    house.write_roles(king)
    await house.user("max", "king")
    who = await house.enters(await house.token("max"))
    assert who.rights == BOSS.rights
    with pytest.raises(AccessError, match="Only an admin"):
        await house.accounts.add_user(replace(EVE, role="admin"), who)
    assert (await house.accounts.add_user(replace(EVE, role="king"), who)).role == "king"


# Tokens


async def test_a_token_is_told_once_and_its_secret_is_nowhere(house: House) -> None:
    await house.user()
    token, text = await house.accounts.create_token("ada", " my  laptop ", BOSS, role="rater")
    assert token == Token(public(text), "ada", "my laptop", house.time.ms, "boss", role="rater")
    secret = text.split("_")[2]
    assert secret not in repr(token)
    assert await house.accounts.tokens(BOSS) == (token,)
    for file in house.file.parent.iterdir():
        assert secret.encode() not in file.read_bytes()


async def test_people_handle_their_own_tokens_and_nobody_elses(house: House) -> None:
    await house.user("ada")
    await house.user("eve")
    mine, theirs = await house.token("ada"), await house.token("eve")
    who = await house.enters(mine)
    assert [token.user for token in await house.accounts.tokens(who)] == ["ada"]
    for attempt in (
        house.accounts.create_token("eve", "x", who),
        house.accounts.create_token("ghost", "x", who),
        house.accounts.revoke(public(theirs), who),
        house.accounts.rotate(public(theirs), who),
        house.accounts.revoke("0" * 12, who),
        house.accounts.revoke("' OR 1=1 --", who),
    ):
        with pytest.raises(NotFoundError) as caught:
            await attempt
        assert "eve" not in caught.value.message
    assert (await house.enters(theirs)).id == "eve"
    await house.accounts.create_token("ada", "second", who)
    assert len(await house.accounts.tokens(who)) == 2
    await house.accounts.revoke(public(mine), who)
    with pytest.raises(AuthenticationError):
        await house.enters(mine)


async def test_an_admin_handles_everybodys(house: House) -> None:
    await house.user("ada")
    await house.user("eve")
    for id in ("ada", "eve"):
        token = await house.token(id)
        await house.accounts.revoke(public(token), BOSS)
        with pytest.raises(AuthenticationError):
            await house.enters(token)
    assert {token.user for token in await house.accounts.tokens(BOSS)} == {"ada", "eve"}


async def test_the_first_revocation_counts(house: House) -> None:
    await house.user()
    token = await house.token()
    at = house.time.ms
    await house.accounts.revoke(public(token), BOSS)
    house.time.passes(9)
    await house.accounts.revoke(public(token), BOSS)
    assert [found.revoked_at for found in await house.store.tokens("ada")] == [at]


async def test_a_token_of_a_role_that_adds_something_is_refused(house: House) -> None:
    await house.user("ada", "rater")
    with pytest.raises(AccessError, match="cannot have more privileges than its user"):
        await house.accounts.create_token("ada", "x", BOSS, role="user")
    with pytest.raises(UserError, match="Role not found"):
        await house.accounts.create_token("ada", "x", BOSS, role="king")


async def test_a_token_does_not_outlive_the_one_it_was_made_with(house: House) -> None:
    await house.user()
    ends = house.time.ms + DAY_MS
    who = await house.enters(await house.token(expires_at=ends))
    token, _ = await house.accounts.create_token("ada", "x", who)
    assert token.expires_at == ends
    assert (await house.accounts.create_token("ada", "x", who, expires_at=ends - 5))[0].expires_at == ends - 5
    with pytest.raises(AccessError, match="expire later"):
        await house.accounts.create_token("ada", "x", who, expires_at=ends + 1)
    endless = await house.token()
    with pytest.raises(AccessError, match="expire later"):
        await house.accounts.rotate(public(await house.token(expires_at=ends + 1)), who)
    assert (await house.accounts.rotate(public(endless), who))[0].expires_at == ends


async def test_a_token_that_would_be_over_is_refused(house: House) -> None:
    await house.user()
    for ends in (house.time.ms, 0, -1):
        with pytest.raises(UserError, match="in the past"):
            await house.accounts.create_token("ada", "x", BOSS, expires_at=ends)


async def test_a_rotation_keeps_everything_but_the_secret(house: House) -> None:
    await house.user("ada")
    ends = house.time.ms + 40 * DAY_MS
    old, text = await house.accounts.create_token("ada", "shop", BOSS, role="rater", expires_at=ends)
    house.time.passes(60)
    new, fresh = await house.accounts.rotate(old.id, BOSS)
    assert (new.user, new.name, new.role, new.expires_at) == ("ada", "shop", "rater", ends)
    assert new.id != old.id
    assert fresh != text
    stored = {token.id: token for token in await house.store.tokens("ada")}
    assert stored[old.id].expires_at == house.time.ms + OVERLAP_MS
    assert stored[new.id].expires_at == ends


async def test_a_rotation_never_makes_a_token_last_longer(house: House) -> None:
    await house.user()
    ends = house.time.ms + 1_000
    old, _ = await house.accounts.create_token("ada", "x", BOSS, expires_at=ends)
    new, _ = await house.accounts.rotate(old.id, BOSS)
    assert {token.expires_at for token in await house.store.tokens("ada")} == {ends}
    assert new.expires_at == ends


async def test_what_is_over_is_not_rotated(house: House) -> None:
    await house.user()
    revoked, old = public(await house.token()), public(await house.token(expires_at=house.time.ms + 1))
    await house.accounts.revoke(revoked, BOSS)
    house.time.passes(1)
    for token_id in (revoked, old):
        with pytest.raises(UserError, match="has expired or was revoked"):
            await house.accounts.rotate(token_id, BOSS)


async def test_a_last_use_is_there_after_a_restart(tmp_path: Path) -> None:
    async with housing(tmp_path) as house:
        await house.user()
        await house.enters(await house.token())
        await house.authenticator.flush()
        at = house.time.ms
    store = await Store.open(f"sqlite:///{tmp_path / 'herding.sqlite'}")
    assert [token.last_used_at for token in await store.tokens("ada")] == [at]
    await store.close()


async def test_the_first_token_is_an_admins_and_the_only_one(house: House) -> None:
    text = await house.accounts.first_token()
    assert text is not None
    who = await house.enters(text)
    assert (who.id, who.role, who.rights) == ("admin", "admin", BOSS.rights)
    assert await house.accounts.first_token() is None
    assert len(await house.store.tokens(None)) == 1


async def test_where_there_are_users_there_is_no_first_token(house: House) -> None:
    await house.user("ada", "rater")
    assert await house.accounts.first_token() is None
    assert await house.store.tokens(None) == ()


# Oneself


async def test_people_are_told_who_they_are(house: House) -> None:
    ada = await house.user()
    assert await house.accounts.me(await house.enters(await house.token())) == ada
    guest, _ = house.authenticator.authenticate_anonymous(HERE)
    assert await house.accounts.me(guest) is None
    assert await house.accounts.me(house.roles.principal("local", "admin")) is None


async def test_the_operator_is_not_taken_for_a_user_of_the_same_name(house: House) -> None:
    admin = await house.user("admin", "admin")
    who = await house.enters(OPERATOR_TOKEN)
    assert await house.accounts.me(who) is None
    with pytest.raises(UserError, match="Only users"):
        await house.accounts.opt_out(True, who)
    assert await house.store.user("admin") == admin


async def test_whoever_wants_nothing_kept_counts_as_such_at_once(house: House) -> None:
    await house.user()
    token = await house.token()
    who = await house.enters(token)
    for choice in (True, True, False):
        assert (await house.accounts.opt_out(choice, who)).opt_out is choice
        assert (await house.enters(token)).opt_out is choice
    for other in (house.authenticator.authenticate_anonymous(HERE)[0], house.roles.principal("local", "admin")):
        with pytest.raises(UserError, match="Only users"):
            await house.accounts.opt_out(True, other)


async def test_a_choice_of_ones_own_undoes_nothing_that_an_admin_changes_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await house.user()
    who = await house.enters(await house.token())
    find, read, go_on = house.store.user, asyncio.Event(), asyncio.Event()

    async def slow(user_id: str) -> User | None:
        found = await find(user_id)
        monkeypatch.setattr(house.store, "user", find)
        read.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(house.store, "user", slow)
    choosing = asyncio.create_task(house.accounts.opt_out(True, who))
    await read.wait()
    disabling = asyncio.create_task(house.accounts.change_user(replace(ada, disabled=True), BOSS))
    await asyncio.wait([disabling], timeout=0.2)
    go_on.set()
    await asyncio.gather(choosing, disabling)
    found = await house.store.user("ada")
    assert found is not None
    assert found.disabled


async def test_the_use_of_limits_is_ones_own_and_a_guests_is_that_of_the_address(house: House) -> None:
    await house.user("ada", "rater")
    ada = await house.enters(await house.token())
    guest, other = (
        house.authenticator.authenticate_anonymous(HERE)[0],
        house.authenticator.authenticate_anonymous(HERE)[0],
    )
    for number, (who, account) in enumerate([(ada, "ada"), (guest, guest.account)]):
        outcome = Outcome(f"{number:032}", who.id, "p", house.time.ms)
        await reserve(house.store, outcome, limits=who.limits, tokens=5, account=account)
    assert [use.used for use in await house.accounts.usage(ada)] == [1]
    assert [use.limit for use in await house.accounts.usage(ada)] == list(ada.limits)
    assert [use.used for use in await house.accounts.usage(other)] == [1, 5]
    elsewhere = house.authenticator.authenticate_anonymous("203.0.113.9")[0]
    assert [use.used for use in await house.accounts.usage(elsewhere)] == [0, 0]


async def test_only_ones_own_requests_are_forgotten(house: House) -> None:
    for number, id in enumerate(("ada", "ada", "eve")):
        await house.store.finish(Outcome(f"{number:032}", id, "p", number, answer="text", status="succeeded"))
    ada = principal("ada", "user")
    everything = [f"{number:032}" for number in range(3)]
    assert await house.accounts.forget(everything[1:], ada) == 1
    assert await house.accounts.forget([everything[2], "ghost"], ada) == 0
    assert await house.accounts.forget(None, ada) == 2
    entry = await house.store.entry(everything[2], viewer="eve", owner="eve")
    assert entry is not None
    assert entry.outcome.answer == "text"


# Roles


async def test_saved_roles_are_in_force_for_everybody(house: House) -> None:
    await house.user("ada", "rater")
    token = await house.token()
    await house.enters(token)
    notes = await house.accounts.roles(BOSS)
    assert (notes.text, notes.problem) == (SHIPPED, None)
    text = notes.text.replace("description: Tries prompts", "rights: [edit]\n    description: Tries prompts")
    saved = await house.accounts.save_roles(text, notes.digest, BOSS)
    assert saved.text == text
    assert "edit" in (await house.enters(token)).rights
    with pytest.raises(UserError, match="changed meanwhile"):
        await house.accounts.save_roles(SHIPPED, notes.digest, BOSS)


async def test_no_error_of_theirs_is_a_surprise(house: House) -> None:
    """Whatever is asked with odd names ends in one of our errors, and in no change."""
    await house.user()
    for odd in ("", "\x00", "\ud800", "' OR 1=1 --", "x" * 100_000, "../x"):
        for attempt in (
            house.accounts.user(odd, BOSS),
            house.accounts.change_user(replace(EVE, id=odd), BOSS),
            house.accounts.create_token(odd, "x", BOSS),
            house.accounts.revoke(odd, BOSS),
            house.accounts.rotate(odd, BOSS),
            house.accounts.save_roles(odd, odd, BOSS),
        ):
            with pytest.raises(HerdingError):
                await attempt
    assert await house.store.tokens(None) == ()
    assert house.file.read_text() == SHIPPED


async def test_deleting_texts_again_and_again_has_to_wait(house: House) -> None:
    """Each time the whole database is written anew, while nobody else can write."""
    guests = [replace(principal(f"guest:{n}", "guest"), account="guests:one") for n in range(11)]
    for guest in guests[:10]:
        assert await house.accounts.forget(None, guest) == 0
    with pytest.raises(LimitError) as caught:
        await house.accounts.forget(None, guests[10])
    assert 0 < caught.value.retry_after <= 60
    assert await house.accounts.forget(None, replace(guests[10], account="guests:two")) == 0
    house.time.passes(60)
    assert await house.accounts.forget(None, guests[10]) == 0
