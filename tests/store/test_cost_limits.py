"""Limits on money: reserved before the call, settled after it, exact for requests that run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from herding.errors import LimitError
from herding.store import Store
from herding.values import NANO, Limit, LimitUse, Usage
from tests.support.database import reserve

HOUR = 3_600_000
START = 1_700_000_000_000
DOLLAR = Limit("cost", 1, NANO)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url, clock=lambda: START)
    yield opened
    await opened.close()


async def used(store: Store) -> int:
    return (await store.usage("ada", [DOLLAR]))[0].used


async def test_money_is_reserved_and_settled(store: Store, outcome) -> None:
    await reserve(store, outcome(1), limits=[DOLLAR], tokens=5, cost=NANO)
    assert await store.usage("ada", [DOLLAR]) == (LimitUse(DOLLAR, NANO, START + HOUR),)
    with pytest.raises(LimitError, match=r"\$1\.00 of \$1\.00 in 1 hour used, and this request may take \$0\.01"):
        await reserve(store, outcome(2), limits=[DOLLAR], tokens=0, cost=NANO // 100)
    await store.finish(outcome(1, usage=Usage(2, 3, "node"), cost=1_234_567))
    assert await used(store) == 1_234_567
    await reserve(store, outcome(2), limits=[DOLLAR], tokens=0, cost=NANO - 1_234_567)
    assert await used(store) == NANO


async def test_an_unknown_cost_takes_nothing(store: Store, outcome) -> None:
    await reserve(store, outcome(1), limits=[DOLLAR], tokens=5, cost=NANO // 2)
    await store.finish(outcome(1, cost=None))
    assert await used(store) == 0


async def test_a_request_that_costs_more_than_the_limit_never_fits(store: Store, outcome) -> None:
    with pytest.raises(LimitError, match=r"may take \$1\.50 of \$1\.00 in 1 hour\. Shorten it, or lower max_tokens"):
        await reserve(store, outcome(1), limits=[DOLLAR], tokens=0, cost=NANO * 3 // 2)
    assert await used(store) == 0


async def test_requests_side_by_side_never_exceed_it(store: Store, outcome) -> None:
    async def admitted(number: int) -> bool:
        try:
            await reserve(store, outcome(number), limits=[DOLLAR], tokens=0, cost=NANO // 10)
        except LimitError:
            return False
        return True

    assert sum(await asyncio.gather(*(admitted(number) for number in range(40)))) == 10
    assert await used(store) == NANO
