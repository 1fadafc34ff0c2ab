"""Requests that surely fit into their limits are admitted before they are committed, and only those."""

from __future__ import annotations

import asyncio

import pytest

from herding.errors import LimitError, StoreError
from herding.store import Store, headroom
from herding.store.headroom import MOST_WAITING
from herding.values import Limit, Outcome
from tests.support.database import reserve

LIMITS = (Limit("request", 1, 100), Limit("token", 24, 10_000))
AT_ONCE = int(100 * MOST_WAITING)

pytestmark = pytest.mark.sqlite


@pytest.fixture
async def known(store: Store, outcome) -> Store:
    """A store that has told the sums of ada's limits."""
    await reserve(store, outcome(0), limits=LIMITS, tokens=10)
    return store


async def at_once(store: Store, row: Outcome, limits: tuple[Limit, ...] = LIMITS, tokens: int = 10) -> bool:
    """Return whether a request is admitted while the writer is held; one that must wait is taken back."""
    call = asyncio.ensure_future(store.admit(row, limits=limits, tokens=tokens))
    for _ in range(3):
        await asyncio.sleep(0)
    if call.done():
        assert not (await call).done()
        return True
    call.cancel()
    return False


async def test_a_share_of_a_limit_is_admitted_at_once(known: Store, outcome, busy_writer) -> None:
    with busy_writer():
        ends = [await at_once(known, outcome(number, status="running")) for number in range(1, 10)]
    assert ends == [True] * AT_ONCE + [False] * (9 - AT_ONCE)
    await known.check()  # anything that waits for the writer
    assert [use.used for use in await known.usage("ada", LIMITS)] == [1 + AT_ONCE, 10 * (1 + AT_ONCE)]
    with busy_writer():
        assert await at_once(known, outcome(20, status="running"))


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        ((Limit("request", 1, 19),), 10),
        ((Limit("request", 2, 100),), 10),
        (LIMITS, 501),
        ((*LIMITS, Limit("token", 24, 19)), 10),
    ],
    ids=["a small limit", "an unknown interval", "too large a share", "no room left"],
)
async def test_all_limits_must_surely_have_room(
    known: Store, outcome, busy_writer, limits: tuple[Limit, ...], tokens: int
) -> None:
    with busy_writer():
        assert not await at_once(known, outcome(1, status="running"), limits, tokens)


async def test_another_account_waits_for_sums_of_its_own(known: Store, outcome, busy_writer) -> None:
    with busy_writer():
        assert not await at_once(known, outcome(1, principal="bob", status="running"))


async def test_what_others_of_the_account_enter_without_limits_counts(
    known: Store, outcome, busy_writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "MOST_WAITING", 1)
    with busy_writer():
        assert await at_once(known, outcome(1, status="running"), (), 9_980)
        assert await at_once(known, outcome(2, status="running"), LIMITS, 10)
        assert not await at_once(known, outcome(3, status="running"), LIMITS, 1)


async def test_the_end_of_a_request_gives_back_its_room(
    known: Store, outcome, busy_writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "MOST_WAITING", 1)
    await reserve(known, outcome(1, status="running"), limits=LIMITS, tokens=9_990)
    with pytest.raises(LimitError):
        await reserve(known, outcome(2), limits=LIMITS, tokens=10)
    await known.finish(outcome(1))
    with busy_writer():
        assert await at_once(known, outcome(2, status="running"), LIMITS, 9_990)


async def test_an_entry_that_cannot_be_written_fails_and_takes_no_room(
    known: Store, outcome, at_begin, busy_writer
) -> None:
    at_begin("PRAGMA query_only = ON")
    entered = await known.admit(outcome(1, status="running"), limits=LIMITS, tokens=400)
    with pytest.raises(StoreError, match="read-only"):
        await entered
    with pytest.raises(StoreError, match="read-only"):  # it fails now: nothing is admitted before the commit
        await known.admit(outcome(2, status="running"), limits=LIMITS, tokens=400)
    at_begin("PRAGMA query_only = OFF")
    await reserve(known, outcome(3, status="running"), limits=LIMITS, tokens=400)
    assert [use.used for use in await known.usage("ada", LIMITS)] == [2, 410]
    with busy_writer():
        assert await at_once(known, outcome(4, status="running"), LIMITS, 400)


async def test_accounts_are_forgotten_only_when_nothing_of_them_waits(
    known: Store, outcome, busy_writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "MAX_ACCOUNTS", 2)
    await reserve(known, outcome(1, principal="bob"), limits=LIMITS, tokens=10)
    with busy_writer():
        assert await at_once(known, outcome(2, status="running"))
        assert not await at_once(known, outcome(3, principal="eve", status="running"))  # bob is forgotten
        assert await at_once(known, outcome(4, status="running"))
        assert not await at_once(known, outcome(5, principal="bob", status="running"))
