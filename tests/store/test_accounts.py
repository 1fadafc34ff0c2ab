"""Users and their tokens."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace

import pytest

from herding.errors import NotFoundError, UserError
from herding.store import Store
from herding.values import Limit, Token, User

ADA = User("ada", "Ada Lovelace", "engineer", (Limit("request", 0.5, 10), Limit("token", 24, 10**12)), created_at=5)
BOB = User("bob", "Bøb", "rater", opt_out=True, disabled=True, created_at=6)
KEY = Token("k1", "ada", "laptop", 7, "ada")
DIGEST = bytes(range(256))


async def test_users_are_as_they_were_added(store: Store) -> None:
    assert await store.users() == ()
    await store.add_user(BOB)
    await store.add_user(ADA)
    assert await store.users() == (ADA, BOB)
    assert await store.user("ada") == ADA
    assert await store.user("eve") is None


async def test_an_id_is_taken_once(store: Store) -> None:
    await store.add_user(ADA)
    with pytest.raises(UserError, match="'ada' already"):
        await store.add_user(replace(BOB, id="ada"))
    ends = await asyncio.gather(*(store.add_user(BOB) for _ in range(5)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["NoneType"] + ["UserError"] * 4
    assert await store.users() == (ADA, BOB)


async def test_a_user_changes_but_for_id_and_birthday(store: Store) -> None:
    await store.add_user(ADA)
    await store.add_user(BOB)
    await store.update_user(replace(BOB, id="ada", created_at=99))
    assert await store.user("ada") == replace(BOB, id="ada", created_at=ADA.created_at)
    assert await store.user("bob") == BOB
    with pytest.raises(NotFoundError, match="'eve'"):
        await store.update_user(replace(ADA, id="eve"))


async def test_a_login_finds_token_hash_and_user(store: Store) -> None:
    await store.add_user(ADA)
    await store.add_token(KEY, DIGEST)
    assert await store.credentials("k1") == (KEY, DIGEST, ADA)
    for strange in ("k2", "' OR 1=1 --", "", "x" * 1_000_000, "\ud800", "k1\x00"):
        assert await store.credentials(strange) is None


async def test_a_token_needs_its_user_and_an_id_of_its_own(store: Store) -> None:
    with pytest.raises(NotFoundError, match="'ada'"):
        await store.add_token(KEY, DIGEST)
    await store.add_user(ADA)
    await store.add_token(KEY, DIGEST)
    with pytest.raises(UserError, match="id already"):
        await store.add_token(replace(KEY, name="other"), b"other")
    assert await store.credentials("k1") == (KEY, DIGEST, ADA)


async def test_tokens_are_listed_without_their_hashes(store: Store) -> None:
    await store.add_user(ADA)
    await store.add_user(BOB)
    found = [replace(KEY, id=f"k{number}", created_at=9 - number, expires_at=number or None) for number in range(3)]
    found.append(Token("k9", "bob", "", 1, "ada", 2, 3, 4))
    for token in found:
        await store.add_token(token, DIGEST)
    assert await store.tokens("ada") == (found[2], found[1], found[0])
    assert await store.tokens("bob") == (found[3],)
    assert await store.tokens(None) == (found[3], found[2], found[1], found[0])
    assert await store.tokens("eve") == ()
    assert "digest" not in {field.name for field in fields(Token)}


async def test_an_end_only_comes_nearer(store: Store) -> None:
    async def ends() -> tuple[int | None, int | None]:
        (token,) = await store.tokens("ada")
        return token.expires_at, token.revoked_at

    await store.add_user(ADA)
    await store.add_token(KEY, DIGEST)
    for at, left in ((500, 500), (900, 500), (400, 400)):
        await store.expire_token("k1", at)
        assert await ends() == (left, None)
    for at in (300, 301):
        await store.revoke_token("k1", at)
        assert await ends() == (400, 300)
    for end in (store.expire_token, store.revoke_token):
        with pytest.raises(NotFoundError):
            await end("k2", 1)


async def test_last_use_of_many_tokens_is_one_write_and_never_goes_back(store: Store, commits: list[object]) -> None:
    await store.add_user(ADA)
    for number in range(50):
        await store.add_token(replace(KEY, id=f"k{number}"), DIGEST)
    commits.clear()
    await store.record_token_use({f"k{number}": 1_000 + number for number in range(50)})
    await store.record_token_use({"k1": 5, "k2": 5_000, "unknown": 9, "' OR 1=1 --": 9_999})
    await store.record_token_use({})
    assert len(commits) == 2
    used = {token.id: token.last_used_at for token in await store.tokens(None)}
    assert used == {f"k{number}": 1_000 + number for number in range(50)} | {"k2": 5_000}


async def test_users_and_tokens_are_there_after_a_restart(url: str) -> None:
    store = await Store.open(url)
    await store.add_user(ADA)
    await store.add_token(KEY, DIGEST)
    await store.close()
    store = await Store.open(url)
    assert await store.credentials("k1") == (KEY, DIGEST, ADA)
    await store.close()


@pytest.mark.sqlite
async def test_a_login_reads_two_rows_by_their_keys(store: Store) -> None:
    plan = await store._reader.run(
        lambda c: c.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT * FROM token JOIN account ON account.id = token.account_id WHERE token.id = 'x'"
        ).all()
    )
    assert all("SEARCH" in row[-1] and "INDEX" in row[-1] for row in plan)
