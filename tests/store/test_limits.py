"""Limits over sliding windows: what is admitted, when the next one is, and what stays in the ledger."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from herding.errors import LimitError, StoreError
from herding.store import Store, headroom
from herding.store.headroom import MOST_WAITING
from herding.store.ledger import LONGEST
from herding.store.tables import ledger
from herding.values import Limit, LimitUse, Outcome, Usage
from tests.support.database import reserve

HOUR = 3_600_000
START = 1_700_000_000_000


class Clock:
    """Says what it is set to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def opened(url: str, clock: Callable[[], int], *, beside_app: bool = False) -> AsyncIterator[Store]:
    store = await Store.open(url, clock=clock, beside_app=beside_app)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(url: str, clock: Clock) -> AsyncIterator[Store]:
    async with opened(url, clock) as store:
        yield store


def requests(number: int, hours: float = 1) -> Limit:
    return Limit("request", hours, number)


def tokens(number: int, hours: float = 1) -> Limit:
    return Limit("token", hours, number)


async def admitted(store: Store, row: Outcome, *limits: Limit, tokens: int = 0) -> bool:
    try:
        await reserve(store, row, limits=limits, tokens=tokens)
    except LimitError:
        return False
    return True


async def cancelled(store: Store, row: Outcome, limit: Limit) -> None:
    """A caller that leaves while it waits for the writer."""
    call = asyncio.ensure_future(reserve(store, row, limits=[limit], tokens=5))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def entries(store: Store) -> list[tuple[int, int, bool]]:
    query = select(ledger.c.at - START, ledger.c.tokens, ledger.c.settled).order_by(ledger.c.at, ledger.c.request_id)
    return [tuple(row) for row in await store._reader.run(lambda c: c.execute(query).all())]


async def statuses(store: Store, *rows: Outcome) -> list[str | None]:
    found = [await store.entry(row.request_id, viewer="x", owner=None) for row in rows]
    return [entry.outcome.status if entry else None for entry in found]


async def test_a_reservation_is_a_running_row_and_an_entry(store: Store, outcome) -> None:
    row = outcome(1, status="running", input="hello")
    await reserve(store, row, limits=[requests(1), tokens(50)], tokens=50)
    entry = await store.entry(row.request_id, viewer="ada", owner="ada")
    assert entry is not None
    assert entry.outcome == row
    assert await entries(store) == [(0, 50, False)]


async def test_a_refusal_writes_nothing(store: Store, outcome) -> None:
    assert await admitted(store, outcome(1), requests(1))
    assert not await admitted(store, outcome(2), requests(1))
    assert await statuses(store, outcome(1), outcome(2)) == ["succeeded", None]
    assert len(await entries(store)) == 1


async def test_an_entry_counts_until_just_before_its_interval_is_over(store: Store, outcome, clock: Clock) -> None:
    assert await admitted(store, outcome(1), requests(2))
    clock.now += 1_000
    assert await admitted(store, outcome(2), requests(2))
    clock.now = START + HOUR - 1
    assert not await admitted(store, outcome(3), requests(2))
    clock.now = START + HOUR
    assert await admitted(store, outcome(4), requests(2))
    assert not await admitted(store, outcome(5), requests(2))


async def test_retry_after_is_exact_to_the_millisecond(store: Store, outcome, clock: Clock) -> None:
    for number, (at, used) in enumerate([(0, 10), (500, 20), (500, 5), (900, 60)]):
        clock.now = START + at
        await reserve(store, outcome(number), limits=[tokens(100)], tokens=used)
    clock.now = START + 1_000
    for wanted, leaves in ((6, 0), (15, 0), (16, 500), (40, 500), (41, 900), (100, 900)):
        with pytest.raises(LimitError) as refused:
            await reserve(store, outcome(10), limits=[tokens(100)], tokens=wanted)
        assert refused.value.retry_after == (leaves + HOUR - 1_000) / 1000
    clock.now = START + 500 + HOUR - 1
    assert not await admitted(store, outcome(10), tokens(100), tokens=40)
    clock.now += 1
    assert await admitted(store, outcome(10), tokens(100), tokens=40)


async def test_all_limits_must_allow_it_and_the_longest_wait_is_named(store: Store, outcome, clock: Clock) -> None:
    limits = [requests(2, hours=1), tokens(100, hours=24), requests(100, hours=48)]
    await reserve(store, outcome(1), limits=limits, tokens=60)
    clock.now += HOUR // 2
    await reserve(store, outcome(2), limits=limits, tokens=40)
    with pytest.raises(LimitError, match=r"2 of 2 requests in 1 hour used\. Try again in 30 minutes") as refused:
        await reserve(store, outcome(3), limits=limits, tokens=0)
    assert refused.value.retry_after == 1_800
    with pytest.raises(LimitError, match=r"100 of 100 tokens in 1 day used, and .* 1 token\..*23\.5 hours") as refused:
        await reserve(store, outcome(3), limits=limits, tokens=1)
    assert refused.value.retry_after == 23.5 * 3600
    clock.now += HOUR // 2
    assert await admitted(store, outcome(3), *limits)
    assert not await admitted(store, outcome(4), *limits, tokens=1)


async def test_what_can_never_fit_says_so(store: Store, outcome) -> None:
    with pytest.raises(LimitError, match=r"alone is larger .* 5,000 of 100 tokens in 2 hours.*max_tokens") as refused:
        await reserve(store, outcome(1), limits=[tokens(100, hours=2)], tokens=5_000)
    assert refused.value.retry_after == 7_200
    with pytest.raises(LimitError, match="alone is larger"):
        await reserve(store, outcome(1), limits=[requests(0)], tokens=0)
    assert await entries(store) == []


async def test_everybody_has_limits_of_their_own(store: Store, outcome) -> None:
    assert await admitted(store, outcome(1), requests(1))
    assert await admitted(store, outcome(2, principal="bob"), requests(1))
    assert not await admitted(store, outcome(3), requests(1))


async def test_a_clock_that_goes_back_frees_nothing(store: Store, outcome, clock: Clock) -> None:
    assert await admitted(store, outcome(1), requests(2))
    clock.now -= 5 * HOUR
    assert await admitted(store, outcome(2), requests(2))
    assert await entries(store) == [(0, 0, False)] * 2  # the second is not entered before the first
    with pytest.raises(LimitError) as refused:
        await reserve(store, outcome(3), limits=[requests(2)], tokens=0)
    assert refused.value.retry_after == 6 * 3_600  # on the clock as it goes now
    assert (await store.usage("ada", [requests(2)]))[0].used == 2
    await reserve(store, outcome(4), limits=(), tokens=0)
    assert (await entries(store))[-1][0] == 0
    clock.now += 6 * HOUR
    assert await admitted(store, outcome(5), requests(2))


async def test_a_clock_that_was_wrong_by_a_month_locks_nobody_out_for_a_month(
    store: Store, outcome, clock: Clock
) -> None:
    assert await admitted(store, outcome(1), requests(2))
    clock.now += 40 * 24 * HOUR
    running = outcome(2)
    assert await admitted(store, running, requests(2), requests(3, hours=2000))
    assert await admitted(store, outcome(3), requests(2), requests(3, hours=2000))
    clock.now -= 40 * 24 * HOUR
    with pytest.raises(LimitError) as refused:
        await reserve(store, outcome(4), limits=[requests(2)], tokens=0)
    assert refused.value.retry_after == 3_600  # they count, and not longer than others
    await store.finish(running)
    with pytest.raises(LimitError):
        await reserve(store, outcome(5), limits=[requests(3)], tokens=0)
    assert (await store.usage("ada", [requests(9)]))[0].used == 3
    clock.now += HOUR
    assert await admitted(store, outcome(6), requests(1))


@pytest.mark.parametrize("status", ["succeeded", "partial", "failed", "cancelled", "abandoned"])
async def test_every_ending_settles_what_was_used(store: Store, outcome, status: str) -> None:
    await reserve(store, outcome(1), limits=[tokens(1_000)], tokens=1_000)
    assert not await admitted(store, outcome(2), tokens(1_000), tokens=1)
    await store.finish(outcome(1, status=status, usage=Usage(30, 12)))
    assert await entries(store) == [(0, 42, True)]
    assert await admitted(store, outcome(2), tokens(1_000), tokens=958)
    await store.finish(outcome(2, status=status))
    assert (await entries(store))[1][1:] == (0, True)


@pytest.mark.usefixtures("most_waiting")
async def test_more_may_be_used_than_was_reserved(store: Store, outcome) -> None:
    await reserve(store, outcome(1), limits=[tokens(100)], tokens=10)
    await store.finish(outcome(1, usage=Usage(200, 300)))
    assert not await admitted(store, outcome(2), tokens(100))
    assert await store.usage("ada", [tokens(100)]) == (LimitUse(tokens(100), 500, START + HOUR),)


async def test_a_request_without_entry_can_end(store: Store, outcome) -> None:
    await store.finish(outcome(1, usage=Usage(1, 1)))
    assert await entries(store) == []


async def test_usage_tells_when_some_comes_back(store: Store, outcome, clock: Clock) -> None:
    limits = [requests(5), tokens(100), tokens(100, hours=0.5), requests(5, hours=0.5)]
    assert await store.usage("ada", limits) == tuple(LimitUse(limit, 0) for limit in limits)
    await reserve(store, outcome(1), limits=(), tokens=0)
    clock.now += HOUR * 3 // 4
    await reserve(store, outcome(2), limits=(), tokens=7)
    clock.now += 1
    assert await store.usage("ada", limits) == (
        LimitUse(limits[0], 2, START + HOUR),
        LimitUse(limits[1], 7, START + HOUR * 7 // 4),
        LimitUse(limits[2], 7, START + HOUR * 5 // 4),
        LimitUse(limits[3], 1, START + HOUR * 5 // 4),
    )
    assert await store.usage("nobody", [requests(1)]) == (LimitUse(requests(1), 0),)


async def test_entries_of_one_batch_see_each_other(store: Store, outcome, busy_writer, commits: list[object]) -> None:
    with busy_writer():
        calls = [asyncio.ensure_future(admitted(store, outcome(number), requests(3))) for number in range(8)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*calls) == [True] * 3 + [False] * 5
    assert len(commits) == 2  # the one that held the writer, and the batch


@pytest.fixture(params=[MOST_WAITING, 1], ids=["a few at once", "all at once"])
def most_waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of a limit that is admitted before the commit: small, or all of it."""
    monkeypatch.setattr(headroom, "MOST_WAITING", request.param)


@pytest.mark.usefixtures("most_waiting")
async def test_fifty_callers_get_exactly_ten(store: Store, outcome, clock: Clock) -> None:
    for attempt in range(20):
        rows = [outcome(attempt * 100 + number, status="running") for number in range(50)]
        calls = (admitted(store, row, requests(10), tokens(1_000), tokens=number) for number, row in enumerate(rows))
        ends = await asyncio.gather(*calls)
        assert sum(ends) == 10
        assert await statuses(store, *rows) == ["running" if end else None for end in ends]
        clock.now += HOUR


async def test_a_cancelled_caller_takes_nothing(store: Store, outcome, busy_writer) -> None:
    with busy_writer():
        await cancelled(store, outcome(1, status="running"), requests(1))
    await store.check()  # anything that waits for the writer
    assert await entries(store) == []
    assert await statuses(store, outcome(1)) == [None]


async def test_a_cancelled_caller_keeps_the_row_it_finished(store: Store, outcome, busy_writer) -> None:
    with busy_writer():
        await cancelled(store, outcome(1, status="running"), requests(1))
        end = asyncio.ensure_future(store.finish(outcome(1, status="abandoned")))
        await asyncio.sleep(0)
    await end
    assert await statuses(store, outcome(1)) == ["abandoned"]


async def test_a_commit_whose_answer_was_lost_may_be_tried_again(store: Store, outcome) -> None:
    for _ in range(3):
        assert await admitted(store, outcome(1), requests(1))
    assert len(await entries(store)) == 1


async def test_nothing_is_admitted_where_nothing_can_be_written(store: Store, outcome, at_begin) -> None:
    at_begin("PRAGMA query_only = ON")
    for limits in ([requests(1)], []):
        with pytest.raises(StoreError, match="read-only"):
            await reserve(store, outcome(1), limits=limits, tokens=1)
    at_begin("PRAGMA query_only = OFF")
    assert await admitted(store, outcome(1), requests(1))


@pytest.mark.parametrize("principal", ["", "' OR 1=1 --", "half \udc80 pair", "nul \x00", "名"])
async def test_any_principal_has_limits(store: Store, outcome, principal: str) -> None:
    assert await admitted(store, outcome(1, principal=principal), requests(1))
    assert not await admitted(store, outcome(2, principal=principal), requests(1))
    assert (await store.usage(principal, [requests(1)]))[0].used == 1


async def test_old_entries_are_pruned_and_young_ones_never(
    store: Store, outcome, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("herding.store.ledger.PRUNE_CHUNK", 3)
    for number in range(20):
        clock.now = START + number * HOUR
        await reserve(store, outcome(number, principal="ada" if number % 4 else "bob"), limits=(), tokens=1)
    clock.now = START + LONGEST + 12 * HOUR
    assert await store.prune(before=START + 10 * HOUR) == 10
    assert await store.prune(before=START + 10 * HOUR) == 0
    assert await store.prune(before=clock.now) == 2
    assert [at for at, _tokens, _settled in await entries(store)] == [number * HOUR for number in range(12, 20)]


async def test_what_is_pruned_does_not_count_any_more(store: Store, outcome, clock: Clock) -> None:
    assert await admitted(store, outcome(1), requests(1))
    clock.now += LONGEST + HOUR
    assert await store.prune(before=clock.now) == 1
    assert await admitted(store, outcome(2), requests(1))


async def test_two_processes_share_a_limit(url: str, outcome, clock: Clock) -> None:
    limits = [requests(20), tokens(1_000)]
    async with opened(url, clock, beside_app=True) as one, opened(url, clock, beside_app=True) as other:
        for number in range(0, 20, 2):
            assert await admitted(one, outcome(number), *limits, tokens=90)
            assert await admitted(other, outcome(number + 1), *limits, tokens=5)
            await other.finish(outcome(number, usage=Usage(1, 1)))  # what one entered, the other may settle
            await one.finish(outcome(number + 1, usage=Usage(0, 5)))
            clock.now += 1
        for store in (one, other):
            assert [use.used for use in await store.usage("ada", limits)] == [20, 70]
            assert not await admitted(store, outcome(30), *limits)
        clock.now = START + HOUR
        assert await admitted(other, outcome(31), *limits, tokens=1_000 - 63)
        assert not await admitted(one, outcome(32), *limits, tokens=1)
        assert await admitted(one, outcome(32), *limits)
        assert not await admitted(other, outcome(33), *limits)


@pytest.mark.sqlite
async def test_a_sum_is_moved_along_and_never_made_again(
    store: Store, outcome, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "MOST_WAITING", 0)  # each request asks the ledger
    seen: list[str] = []
    event.listen(store._writer._engine, "before_execute", lambda _c, statement, *_: seen.append(str(statement)))
    for number in range(50):
        assert await admitted(store, outcome(number), requests(100), tokens(10_000), tokens=5)
        await store.finish(outcome(number, usage=Usage(1, 1)))
        clock.now += 10
    assert len([text for text in seen if "sum(" in text]) == 1
    clock.now += HOUR - 400  # the first entries leave
    assert await admitted(store, outcome(60), requests(100), tokens(10_000), tokens=5)
    assert len([text for text in seen if "sum(" in text]) == 2
    assert [use.used for use in await store.usage("ada", [requests(100), tokens(10_000)])] == [40, 83]


async def test_an_entry_that_is_taken_back_leaves_its_sum(store: Store, outcome, busy_writer) -> None:
    assert await admitted(store, outcome(1), requests(2))
    with busy_writer():
        await cancelled(store, outcome(2), requests(2))
    assert await admitted(store, outcome(3), requests(2))
    assert not await admitted(store, outcome(4), requests(2))


async def test_limits_hold_over_a_restart(url: str, outcome, clock: Clock) -> None:
    async with opened(url, clock) as store:
        for number in range(9):
            assert await admitted(store, outcome(number, status="running"), requests(10), tokens(1_000), tokens=100)
    async with opened(url, clock) as store:
        assert await statuses(store, outcome(0)) == ["interrupted"]
        assert [use.used for use in await store.usage("ada", [requests(10), tokens(1_000)])] == [9, 900]
        calls = [await admitted(store, outcome(10 + n), requests(10), tokens(1_000), tokens=100) for n in range(2)]
        assert calls == [True, False]


steps = st.tuples(
    st.sampled_from([0, 0, 1, 250, 999, 1_000, 1_001, 3_000, -2_000]),  # the clock moves
    st.sampled_from(["ada", "bob"]),
    st.integers(0, 12),  # tokens wanted
    st.none() | st.integers(0, 15),  # tokens used, None while it still runs
)
some_limits = st.lists(
    st.builds(
        Limit, st.sampled_from(["request", "token"]), st.sampled_from([1_000 / HOUR, 3_000 / HOUR]), st.integers(0, 20)
    ),
    max_size=3,
)


class Model:
    """The same rule, written down plainly."""

    def __init__(self, limits: list[Limit]) -> None:
        self._limits = limits
        self.entries: dict[str, list[list[int]]] = {"ada": [], "bob": []}

    def effective(self, who: str, now: int) -> int:
        return max([now, *(at for at, _ in self.entries[who])])

    def used(self, who: str, limit: Limit, now: int) -> int:
        interval = round(limit.interval_hours * HOUR)
        counted = [used for at, used in self.entries[who] if at <= now < at + interval]
        return len(counted) if limit.type == "request" else sum(counted)

    def allows(self, who: str, wanted: int, now: int) -> bool:
        needs = {"request": 1, "token": wanted}
        return all(self.used(who, limit, now) + needs[limit.type] <= limit.limit for limit in self._limits)

    def waits(self, who: str, wanted: int, clock: int) -> int | None:
        """Milliseconds until it is allowed: until one of the entries leaves a window; None if it never is."""
        intervals = {round(limit.interval_hours * HOUR) for limit in self._limits}
        leaves = sorted(at + interval for at, _ in self.entries[who] for interval in intervals)
        waits = [0, *(leave - clock for leave in leaves)]
        return next((wait for wait in waits if self.allows(who, wanted, self.effective(who, clock + wait))), None)


@pytest.mark.slow
@pytest.mark.usefixtures("most_waiting")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_limits, st.lists(steps, max_size=15))
async def test_the_window_is_as_the_rule_says(
    limits: list[Limit], found: list[tuple[int, str, int, int | None]]
) -> None:
    model, clock = Model(limits), Clock()
    with tempfile.TemporaryDirectory() as directory:
        async with opened(f"sqlite:///{Path(directory) / 'db'}", clock) as store:
            for number, (moved, who, wanted, used) in enumerate(found):
                clock.now += moved
                now = model.effective(who, clock.now)
                assert [use.used for use in await store.usage(who, limits)] == [
                    model.used(who, limit, now) for limit in limits
                ]
                row = Outcome(str(number), who, "p", clock.now)
                if not model.allows(who, wanted, now):
                    with pytest.raises(LimitError) as refused:
                        await reserve(store, row, limits=limits, tokens=wanted)
                    wait = model.waits(who, wanted, clock.now)
                    assert wait is None or refused.value.retry_after == wait / 1000
                    assert (wait is None) == ("alone" in refused.value.message)
                    continue
                await reserve(store, row, limits=limits, tokens=wanted)
                model.entries[who].append([now, wanted])
                if used is not None:
                    await store.finish(Outcome(str(number), who, "p", 1, status="succeeded", usage=Usage(0, used)))
                    model.entries[who][-1][1] = used
