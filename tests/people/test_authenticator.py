"""From a token, a session or nothing to a principal: who gets in, who does not, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from herding.access import sessions
from herding.access.keys import derive_key
from herding.access.login_throttle import PER_ADDRESS
from herding.access.sessions import Session
from herding.access.tokens import mint
from herding.errors import AuthenticationError, LimitError, StoreError
from herding.people.authenticator import CACHE_SECONDS, MAX_CACHED, OPERATOR
from herding.store.login_sessions import MAX_SESSIONS
from herding.values import Limit, Principal, User
from tests.support.database import rows
from tests.support.people_parts import BOSS, HERE, KEY, OPERATOR_TOKEN, SHIPPED, THERE, House, housing, public

DAY = 24 * 3600


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housing(tmp_path) as made:
        yield made


async def refused(house: House, token: str, address: str = HERE) -> str:
    """What somebody is told whose token is refused."""
    with pytest.raises(AuthenticationError) as caught:
        await house.enters(token, address)
    return caught.value.message


# Tokens


async def test_a_token_makes_its_user(house: House) -> None:
    own = Limit("request", 1, 7)
    await house.user("ada", "user", limits=(own,), opt_out=True)
    ends = house.time.ms + 5_000
    token = await house.token("ada", expires_at=ends)
    who = await house.enters(token)
    expected = house.roles.principal("ada", "user", limits=(own,), opt_out=True, token=public(token))
    assert who == replace(expected, expires_at=ends)
    assert own in who.limits
    assert who.rights


async def revoked(house: House) -> str:
    token = await house.token()
    await house.accounts.revoke(public(token), BOSS)
    return token


async def expired(house: House) -> str:
    token = await house.token(expires_at=house.time.ms + 1)
    house.time.passes(0.001)
    return token


async def of_a_disabled_user(house: House) -> str:
    await house.user("eve")
    token = await house.token("eve")
    await house.accounts.change_user(User("eve", "Eve", "user", disabled=True), BOSS)
    return token


async def rotated_a_day_ago(house: House) -> str:
    token = await house.token()
    await house.accounts.rotate(public(token), BOSS)
    house.time.passes(DAY)
    return token


async def wrong_secret(house: House) -> str:
    token = await house.token()
    return token[:-1] + ("a" if token[-1] != "a" else "b")


async def secret_of_another(house: House) -> str:
    one, other = await house.token(), await house.token()
    return f"hl_{public(one)}_{other.split('_')[2]}"


async def unknown(house: House) -> str:
    return mint().text


async def the_stored_hash(house: House) -> str:
    token = await house.token()
    found = await house.store.credentials(public(token))
    assert found is not None
    return f"hl_{public(token)}_{found[1].hex()[:43]}"


async def the_bare_hash(house: House) -> str:
    found = await house.store.credentials(public(await house.token()))
    assert found is not None
    return found[1].hex()


async def only_the_public_part(house: House) -> str:
    return f"hl_{public(await house.token())}_"


async def a_cookie(house: House) -> str:
    who = await house.enters(await house.token())
    return house.authenticator.sign_session(await house.authenticator.create_session(who))


BAD: tuple[Callable[[House], Awaitable[str]], ...] = (
    revoked,
    expired,
    of_a_disabled_user,
    rotated_a_day_ago,
    wrong_secret,
    secret_of_another,
    unknown,
    the_stored_hash,
    the_bare_hash,
    only_the_public_part,
    a_cookie,
)


async def test_whatever_is_wrong_with_a_token_is_said_in_the_same_words(house: House) -> None:
    await house.user()
    said = {await refused(house, await make(house)) for make in BAD}
    said |= {await refused(house, OPERATOR_TOKEN + "x"), await refused(house, "")}
    assert len(said) == 1
    assert "hl_" not in said.pop()


STRANGE = [
    "' OR 1=1 --",
    "hl_' OR '1'='1'--_x",
    "'; DROP TABLE token; --",
    "\x00",
    "hl_\x00",
    "\ud800",
    "hl_" + "\udfff" * 12 + "_" + "x" * 43,
    "x" * 1_000_000,
    "hl_" + "0" * 12 + "_" + "0" * 1_000_000,
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "{{7*7}}",
    " ",
    "\n",
    "operator",
    "admin",
    "None",
]


@pytest.mark.parametrize("token", STRANGE, ids=range(len(STRANGE)))
async def test_a_text_of_another_form_is_refused_before_any_database_is_asked(house: House, token: str) -> None:
    await house.user()
    good = await house.token()
    before = dump(house)
    house.store.credentials = no_database  # type: ignore[method-assign]
    assert "not valid" in await refused(house, token)
    assert dump(house) == before
    del house.store.credentials
    assert (await house.enters(good)).id == "ada"


async def no_database(token_id: str) -> None:
    raise AssertionError("the database is asked")


def dump(house: House) -> list[str]:
    return rows(house.file.parent / "herding.sqlite")


async def test_after_a_rotation_both_tokens_work_for_a_day(house: House) -> None:
    await house.user()
    old = await house.token()
    _, new = await house.accounts.rotate(public(old), BOSS)
    house.time.passes(DAY - 1)
    assert (await house.enters(old)).token == public(old)
    assert (await house.enters(new)).token == public(new)
    house.time.passes(1)
    await refused(house, old)
    assert (await house.enters(new)).id == "ada"


async def test_a_token_hangs_on_the_key(house: House) -> None:
    await house.user()
    token = await house.token()
    with pytest.raises(AuthenticationError):
        await house.another(key=b"another key" * 3).authenticate_token(token, HERE)
    assert (await house.another().authenticate_token(token, HERE)).id == "ada"


# How long a token is believed


async def test_a_revocation_by_another_process_takes_two_seconds_at_most(house: House) -> None:
    await house.user()
    token = await house.token()
    await house.enters(token)
    await house.store.revoke_token(public(token), house.time.ms)  # not through this process's accounts
    house.time.passes(CACHE_SECONDS)
    await house.enters(token)
    house.time.passes(0.01)
    await refused(house, token)
    assert CACHE_SECONDS <= 2


async def test_within_two_seconds_the_database_is_asked_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    find = house.store.credentials

    async def counted(token_id: str) -> object:
        asked.append(token_id)
        return await find(token_id)

    await house.user()
    token = await house.token()
    monkeypatch.setattr(house.store, "credentials", counted)
    for _ in range(20):
        await house.enters(token)
    assert len(asked) == 1


async def test_what_happens_in_this_process_counts_at_once(house: House) -> None:
    await house.user()
    token = await house.token()
    await house.enters(token)
    await house.accounts.change_user(User("ada", "Ada", "rater"), BOSS)
    assert (await house.enters(token)).role == "rater"
    await house.accounts.change_user(User("ada", "Ada", "rater", disabled=True), BOSS)
    await refused(house, token)
    await house.accounts.change_user(User("ada", "Ada", "rater"), BOSS)
    assert (await house.enters(token)).id == "ada"
    await house.accounts.revoke(public(token), BOSS)
    await refused(house, token)


async def test_what_was_read_before_a_revocation_is_not_remembered_after_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.user()
    token = await house.token()
    find, read, go_on = house.store.credentials, asyncio.Event(), asyncio.Event()

    async def slow(token_id: str) -> object:
        found = await find(token_id)
        read.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(house.store, "credentials", slow)
    early = asyncio.create_task(house.enters(token))
    await read.wait()
    monkeypatch.setattr(house.store, "credentials", find)
    await house.accounts.revoke(public(token), BOSS)
    go_on.set()
    await early  # it came before the end
    await refused(house, token)


async def test_a_token_ends_by_the_clock_even_while_it_is_remembered(house: House) -> None:
    await house.user()
    token = await house.token(expires_at=house.time.ms + 1_000)
    await house.enters(token)
    house.time.passes(1)
    await refused(house, token)


async def test_without_its_database_nobody_new_gets_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(token_id: str) -> None:
        raise StoreError("away")

    await house.user()
    token = await house.token()
    await house.enters(token)
    monkeypatch.setattr(house.store, "credentials", away)
    await house.enters(token)
    house.time.passes(CACHE_SECONDS + 0.1)
    with pytest.raises(StoreError):
        await house.enters(token)


async def test_not_everybody_is_remembered_without_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herding.people.authenticator.MAX_CACHED", 3)
    await house.user()
    tokens = [await house.token() for _ in range(10)]
    for token in tokens * 2:
        assert (await house.enters(token)).token == public(token)
    assert len(house.authenticator._cache) <= 3
    assert MAX_CACHED >= 1_000


async def test_wrong_tokens_are_not_remembered(house: House) -> None:
    for number in range(100):
        await refused(house, mint().text, f"192.0.2.{number}")
    assert house.authenticator._cache == {}


# Roles


async def test_roles_that_are_edited_count_from_the_next_request(house: House) -> None:
    await house.user("ada", "rater")
    token = await house.token()
    cookie = house.authenticator.sign_session(await house.authenticator.create_session(await house.enters(token)))
    assert "chat" not in (await house.enters(token)).rights
    house.write_roles(SHIPPED.replace("[/api/v1/infer, /api/v1/prompts", "[/v1/completions, /api/v1/prompts"))
    by_cookie = await house.authenticator.authenticate_session(cookie, HERE)
    assert by_cookie is not None
    for who in (await house.enters(token), by_cookie):
        assert "chat" in who.rights
        assert "run" not in who.rights
    house.write_roles("roles: [broken")
    assert "chat" in (await house.enters(token)).rights


async def test_a_weaker_token_has_its_own_role_and_the_limits_of_both(house: House) -> None:
    own = Limit("request", 1, 7)
    await house.user("ada", "user", limits=(own,), opt_out=True)
    who = await house.enters(await house.token(role="rater"))
    rater, user = house.roles.get("rater"), house.roles.get("user")
    assert (who.id, who.role, who.rights, who.tabs, who.opt_out) == ("ada", "rater", rater.rights, rater.tabs, True)
    assert set(who.limits) == {own, *rater.limits, *user.limits}
    assert len(who.limits) == len(set(who.limits))


async def test_a_token_falls_with_its_user(house: House) -> None:
    await house.user("ada", "admin")
    token = await house.token(role="user")
    assert (await house.enters(token)).role == "user"
    await house.accounts.change_user(User("ada", "Ada", "rater"), BOSS)
    who = await house.enters(token)
    assert (who.rights, who.nodes, who.prompts, who.tabs) == (frozenset(), (), (), ())
    await house.accounts.change_user(User("ada", "Ada", "user", (Limit("request", 1, 2),)), BOSS)
    who = await house.enters(token)
    assert "run" in who.rights
    assert Limit("request", 1, 2) in who.limits


async def test_a_role_that_is_gone_allows_nothing(house: House) -> None:
    await house.user("ada", "rater")
    await house.user("eve", "user")
    ada, eve = await house.token("ada"), await house.token("eve", role="rater")
    house.write_roles(SHIPPED.replace("  rater:", "  critic:"))
    for token in (ada, eve):
        who = await house.enters(token)
        assert (who.rights, who.nodes, who.prompts, who.tabs) == (frozenset(), (), (), ())


# The operator


async def test_the_operators_token_makes_an_admin_without_a_user(house: House) -> None:
    who = await house.enters(OPERATOR_TOKEN)
    assert (who.id, who.role, who.token) == ("admin", "admin", OPERATOR)
    assert who.rights == house.roles.get("admin").rights
    assert await house.store.users() == ()


@pytest.mark.parametrize("token", [OPERATOR_TOKEN.upper(), OPERATOR_TOKEN[:-1], OPERATOR_TOKEN + "\x00", ""])
async def test_what_only_looks_like_the_operators_token_is_refused(house: House, token: str) -> None:
    await refused(house, token)


async def test_where_none_is_set_no_text_is_the_operators_token(tmp_path: Path) -> None:
    for number, none in enumerate((None, "")):
        async with housing(tmp_path / str(number), admin_token=none) as house:
            for token in ("", OPERATOR_TOKEN, "None"):
                await refused(house, token)
            cookie = sessions.sign(Session("operator", "0" * 32), derive_key(KEY, "sessions"), house.time.ms // 1000)
            with pytest.raises(AuthenticationError):
                await house.authenticator.authenticate_session(cookie, HERE)


# Sessions


async def test_a_session_is_as_good_as_its_token_and_no_better(house: House) -> None:
    await house.user()
    token = await house.token()
    who = await house.enters(token)
    cookie = house.authenticator.sign_session(await house.authenticator.create_session(who))
    assert token not in cookie
    assert token.split("_")[2] not in cookie
    assert await house.authenticator.authenticate_session(cookie, THERE) == who
    await house.accounts.revoke(public(token), BOSS)
    with pytest.raises(AuthenticationError, match="Log in again"):
        await house.authenticator.authenticate_session(cookie, HERE)


@pytest.mark.parametrize("end", [expired, of_a_disabled_user, revoked, rotated_a_day_ago])
async def test_a_session_ends_with_its_token(house: House, end: Callable[[House], Awaitable[str]]) -> None:
    await house.user()
    session = sessions.new_session("token")
    await house.authenticator.sessions.open(session, principal="ada", token=public(await end(house)))
    cookie = house.authenticator.sign_session(session)
    with pytest.raises(AuthenticationError, match="Log in again"):
        await house.authenticator.authenticate_session(cookie, HERE)


async def test_a_session_that_is_ended_is_over_at_once_for_its_cookie(house: House) -> None:
    await house.user()
    token = await house.token()
    who = await house.enters(token)
    cookies = [house.authenticator.sign_session(await house.authenticator.create_session(who)) for _ in range(3)]
    inside = await house.authenticator.authenticate_session(cookies[0], HERE)
    assert inside is not None
    await house.authenticator.end_session(cookies[0])
    await house.authenticator.end_session(cookies[0])  # twice is no error
    await house.authenticator.end_session("not ours")
    with pytest.raises(AuthenticationError, match="Log in again"):
        await house.authenticator.authenticate_session(cookies[0], HERE)
    assert not await house.authenticator.still_valid(inside)
    assert await house.authenticator.authenticate_session(cookies[1], HERE) == who
    assert await house.accounts.end_sessions(who) == 2
    for cookie in cookies:
        with pytest.raises(AuthenticationError):
            await house.authenticator.authenticate_session(cookie, HERE)
    assert await house.enters(token) == who


async def test_an_admin_ends_the_sessions_of_a_user_and_so_does_disabling(house: House) -> None:
    user = await house.user()
    for disable in (False, True):
        who = await house.enters(await house.token())
        cookie = house.authenticator.sign_session(await house.authenticator.create_session(who))
        assert await house.authenticator.authenticate_session(cookie, HERE) == who
        if disable:
            await house.accounts.change_user(replace(user, disabled=True), BOSS)
        else:
            assert await house.accounts.end_sessions_of("ada", BOSS) == 1
        assert await house.accounts.sessions(who) == ()
        with pytest.raises(AuthenticationError):
            await house.authenticator.authenticate_session(cookie, HERE)


async def test_a_session_that_another_process_ended_is_over_soon(house: House) -> None:
    await house.user()
    cookie = house.authenticator.sign_session(
        await house.authenticator.create_session(await house.enters(await house.token()))
    )
    assert await house.authenticator.authenticate_session(cookie, HERE)
    await house.another().end_session(cookie)
    house.time.passes(CACHE_SECONDS + 0.1)
    with pytest.raises(AuthenticationError):
        await house.authenticator.authenticate_session(cookie, HERE)


async def test_few_sessions_are_stored_and_no_cookie(house: House) -> None:
    await house.user()
    who = await house.enters(await house.token())
    cookies = []
    for _ in range(MAX_SESSIONS + 3):
        house.time.passes(1)
        cookies.append(house.authenticator.sign_session(await house.authenticator.create_session(who)))
    found = await house.store.sessions_of("ada")
    assert len(found) == MAX_SESSIONS
    assert not any(part in repr(found) for cookie in cookies for part in cookie.split(".")[1:])
    with pytest.raises(AuthenticationError):
        await house.authenticator.authenticate_session(cookies[0], HERE)
    assert await house.authenticator.authenticate_session(cookies[-1], HERE) == who
    house.time.passes(31 * DAY)
    await house.authenticator.create_session(who)
    assert len(await house.store.sessions_of("ada")) == 1


async def test_the_last_use_of_a_session_is_noted_to_the_minute(house: House) -> None:
    await house.user()
    who = await house.enters(await house.token())
    cookie = house.authenticator.sign_session(await house.authenticator.create_session(who))
    house.time.passes(90)
    await house.authenticator.authenticate_session(cookie, HERE)
    await house.authenticator.flush()
    [session] = await house.accounts.sessions(who)
    assert (session.seen_at, session.created_at) == (house.time.ms, house.time.ms - 90_000)


async def test_an_operators_session_ends_when_their_token_changes(house: House) -> None:
    cookie = house.authenticator.sign_session(
        await house.authenticator.create_session(await house.enters(OPERATOR_TOKEN))
    )
    assert OPERATOR_TOKEN not in cookie
    found = await house.another(admin_token=OPERATOR_TOKEN).authenticate_session(cookie, HERE)
    assert found is not None
    assert found.role == "admin"
    for changed in ("another token", None):
        with pytest.raises(AuthenticationError):
            await house.another(admin_token=changed).authenticate_session(cookie, HERE)


async def test_a_guest_is_known_again(house: House) -> None:
    who, session = house.authenticator.authenticate_anonymous(HERE)
    assert session is not None
    assert (who.role, who.token, who.id) == ("guest", None, f"guest:{session.id}")
    assert await house.authenticator.authenticate_session(house.authenticator.sign_session(session), HERE) == who
    other, _ = house.authenticator.authenticate_anonymous(HERE)
    assert other.id != who.id


async def test_a_cookie_that_is_not_ours_says_nothing(house: House) -> None:
    seconds = house.time.ms // 1000
    forged = sessions.sign(Session("operator", "0" * 32), b"guessed", seconds)
    of_the_whole_key = sessions.sign(Session("token", "0" * 12), KEY, seconds)
    old = sessions.sign(Session("guest", "abc"), derive_key(KEY, "sessions"), seconds - 366 * DAY)
    for cookie in ("", "x", forged, of_the_whole_key, old, "' OR 1=1--", "\ud800", "x" * 100_000):
        assert await house.authenticator.authenticate_session(cookie, HERE) is None


async def test_only_a_token_opens_a_session(house: House) -> None:
    who, _ = house.authenticator.authenticate_anonymous(HERE)
    with pytest.raises(ValueError, match="token"):
        await house.authenticator.create_session(who)


# Whoever is at this machine


async def test_where_all_are_trusted_only_what_is_wrong_is_refused(tmp_path: Path) -> None:
    async with housing(tmp_path, trusts_all=True, admin_token=None) as house:
        who, session = house.authenticator.authenticate_anonymous(HERE)
        assert (who.id, who.role, who.token, session) == ("local", "admin", None, None)
        guest = house.authenticator.sign_session(sessions.new_guest())
        assert (
            await house.authenticator.authenticate_session(guest, HERE) is None
        )  # of an earlier start; the admin goes on
        visitor = await house.authenticator.authenticate_session(
            house.authenticator.sign_session(sessions.new_guest("visitor")), HERE
        )
        assert visitor is not None
        assert visitor.role == "guest"  # who chose to look around as one
        assert house.authenticator.authenticate_guest(HERE).role == "guest"
        await refused(house, "wrong")
        await refused(house, mint().text)
        await house.user()
        assert (await house.enters(await house.token())).role == "user"


# Guests' limits


async def test_guests_of_one_address_share_their_limits_whatever_their_cookies_say(house: House) -> None:
    def account(who: Principal | None) -> str:
        assert who is not None
        return who.account

    first, session = house.authenticator.authenticate_anonymous(HERE)
    assert session is not None
    cookie = house.authenticator.sign_session(session)
    accounts = {
        account(first),
        account(house.authenticator.authenticate_anonymous(HERE)[0]),
        account(house.authenticator.authenticate_guest(HERE)),
        account(await house.authenticator.authenticate_session(cookie, HERE)),
        account(
            await house.authenticator.authenticate_session(
                house.authenticator.sign_session(sessions.new_guest("visitor")), HERE
            )
        ),
    }
    assert len(accounts) == 1
    assert accounts != {account(await house.authenticator.authenticate_session(cookie, THERE))}
    assert HERE not in accounts.pop()


async def test_users_have_limits_of_their_own_wherever_they_are(house: House) -> None:
    await house.user()
    token = await house.token()
    for address in (HERE, THERE):
        who = await house.enters(token, address)
        assert (who.account or who.id) == "ada"


# Guessing


async def test_whoever_guesses_tokens_has_to_wait(house: House) -> None:
    for _ in range(PER_ADDRESS):
        await refused(house, mint().text)
    with pytest.raises(LimitError) as caught:
        await house.enters(mint().text)
    assert 1 <= caught.value.retry_after <= 60
    with pytest.raises(LimitError):
        await house.enters("of another form")
    await refused(house, mint().text, THERE)


async def test_a_guesser_hinders_no_valid_token_of_the_same_address(house: House) -> None:
    await house.user()
    old, fresh = await house.token(), await house.token()
    await house.enters(old)
    for _ in range(PER_ADDRESS):
        await refused(house, mint().text)
    for token in (old, fresh):
        assert (await house.enters(token)).id == "ada"
    assert (await house.enters(OPERATOR_TOKEN)).role == "admin"
    with pytest.raises(LimitError):
        await house.enters(mint().text)


async def test_to_know_the_public_part_of_a_token_in_use_makes_guessing_no_cheaper(house: House) -> None:
    await house.user()
    token = await house.token()
    await house.enters(token)
    for _ in range(PER_ADDRESS):
        await refused(house, f"hl_{public(token)}_{mint().secret}")
    with pytest.raises(LimitError):
        await house.enters(f"hl_{public(token)}_{mint().secret}")
    assert (await house.enters(token)).id == "ada"


async def test_many_guesses_at_once_are_counted_one_by_one(house: House) -> None:
    ends = await asyncio.gather(*(house.enters(mint().text) for _ in range(200)), return_exceptions=True)
    assert sum(isinstance(end, AuthenticationError) for end in ends) == PER_ADDRESS
    assert sum(isinstance(end, LimitError) for end in ends) == 200 - PER_ADDRESS


async def test_many_good_tokens_at_once_are_no_guesses(house: House) -> None:
    await house.user()
    token = await house.token()
    found = await asyncio.gather(*(house.enters(token) for _ in range(100)))
    assert {who.id for who in found} == {"ada"}


# While somebody is inside


async def inside(house: House, of: str = "user", **token: object) -> tuple[Principal, str]:
    await house.user("ada", of)
    text = await house.token("ada", **token)
    return await house.enters(text), public(text)


async def test_whoever_came_in_may_stay(house: House) -> None:
    who, _ = await inside(house)
    operator = await house.enters(OPERATOR_TOKEN)
    for _ in range(3):
        for somebody in (who, operator, house.authenticator.authenticate_anonymous(HERE)[0]):
            assert await house.authenticator.still_valid(somebody)
        house.time.passes(DAY)


async def test_whose_token_is_revoked_has_to_go(house: House) -> None:
    who, token_id = await inside(house)
    await house.accounts.revoke(token_id, BOSS)
    assert not await house.authenticator.still_valid(who)


async def test_whose_token_is_revoked_elsewhere_has_to_go_soon(house: House) -> None:
    who, token_id = await inside(house)
    await house.store.revoke_token(token_id, house.time.ms)
    house.time.passes(CACHE_SECONDS + 0.1)
    assert not await house.authenticator.still_valid(who)


async def test_whose_token_runs_out_has_to_go(house: House) -> None:
    who, _ = await inside(house, expires_at=house.time.ms + 10_000)
    assert await house.authenticator.still_valid(who)
    house.time.passes(10)
    assert not await house.authenticator.still_valid(who)


@pytest.mark.parametrize("changed", [User("ada", "Ada", "user", disabled=True), User("ada", "Ada", "rater")])
async def test_who_is_disabled_or_gets_another_role_has_to_go(house: House, changed: User) -> None:
    who, _ = await inside(house)
    await house.accounts.change_user(changed, BOSS)
    assert not await house.authenticator.still_valid(who)


async def test_who_came_with_a_weaker_token_goes_when_their_user_is_made_weaker_than_that(house: House) -> None:
    who, _ = await inside(house, "admin", role="user")
    await house.accounts.change_user(User("ada", "Ada", "user"), BOSS)
    assert await house.authenticator.still_valid(who)
    await house.accounts.change_user(User("ada", "Ada", "rater"), BOSS)
    assert not await house.authenticator.still_valid(who)


async def test_whose_role_loses_a_right_has_to_go(house: House) -> None:
    who, _ = await inside(house)
    house.write_roles(SHIPPED.replace("description: Writes prompts", "description: Still writes prompts"))
    assert await house.authenticator.still_valid(who)
    house.write_roles(SHIPPED.replace("      - /v1/chat/completions\n      - /v1/completions\n", ""))
    assert not await house.authenticator.still_valid(who)


async def test_a_change_that_takes_nothing_lets_stay(house: House) -> None:
    who, _ = await inside(house)
    await house.accounts.change_user(User("ada", "Countess", "user", opt_out=True), BOSS)
    assert await house.authenticator.still_valid(who)


async def test_nobody_is_thrown_out_because_the_database_is_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(token_id: str) -> None:
        raise StoreError("away")

    who, _ = await inside(house)
    monkeypatch.setattr(house.store, "credentials", away)
    house.time.passes(CACHE_SECONDS + 1)
    assert await house.authenticator.still_valid(who)


# When a token was used last


async def test_the_last_use_is_written_down(house: House) -> None:
    who, token_id = await inside(house)
    [token] = await house.store.tokens("ada")
    assert token.last_used_at is None
    house.time.passes(1)
    await house.authenticator.authenticate_session(
        house.authenticator.sign_session(await house.authenticator.create_session(who)), HERE
    )
    await house.authenticator.flush()
    [token] = await house.store.tokens("ada")
    assert (token.id, token.last_used_at) == (token_id, house.time.ms)


async def test_a_last_use_that_was_not_written_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(used: object) -> None:
        raise StoreError("away")

    await inside(house)
    at = house.time.ms
    with monkeypatch.context() as patch:
        patch.setattr(house.store, "record_token_use", away)
        await house.authenticator.flush()
    house.time.passes(5)
    await house.authenticator.flush()
    [token] = await house.store.tokens("ada")
    assert token.last_used_at == at


async def test_a_wrong_token_is_no_use(house: House) -> None:
    await house.user()
    await refused(house, await wrong_secret(house))
    await house.authenticator.flush()
    [token] = await house.store.tokens("ada")
    assert token.last_used_at is None
