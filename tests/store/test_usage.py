"""Sums of requests by group."""

from __future__ import annotations

from typing import Any

import pytest

from herding.errors import UserError
from herding.store import Store
from herding.values import GroupName, HistoryFilter, Timings, Usage, UsageSum

DAY = 24 * 3600 * 1000


@pytest.fixture
async def filled(store: Store, outcome) -> Store:
    def one(number: int, **changes: Any) -> Any:
        usage, timings = Usage(10 * number, number, "node"), Timings(0, 5.0 * number, 10.0 * number)
        return outcome(number, **{"usage": usage, "timings": timings, "model": "m", "node": "n"} | changes)

    await store.finish(one(1, cost=1_000, token="t1", created_at=5))
    await store.finish(one(2, cost=500, created_at=DAY + 1, status="failed"))
    await store.finish(one(3, cost=None, principal="bob", created_at=DAY - 1, node=None, prompt="", kind="chat"))
    await store.finish(one(4, cost=0, principal="bob", created_at=3 * DAY, status="cancelled"))
    return store


async def groups(store: Store, *by: Any, **where: Any) -> dict[Any, tuple[Any, ...]]:
    found = await store.usage_sums(HistoryFilter(**where), by)
    return {
        group.key[0] if len(by) == 1 else group.key: (group.sums.requests, group.sums.input_tokens, group.sums.cost)
        for group in found.groups
    }


@pytest.mark.parametrize("by", [(), ("user",), ("token", "model")])
async def test_requests_are_added_up(filled: Store, by: tuple[GroupName, ...]) -> None:
    whole = await filled.usage_sums(HistoryFilter(), by)
    assert whole.total == UsageSum(
        requests=4,
        succeeded=2,
        failed=1,
        input_tokens=100,
        output_tokens=10,
        cost=1_500,
        priced=3,
        mean_ms=20.0,
        mean_first_token_ms=10.0,
    )


async def test_groups_by_each_name(filled: Store) -> None:
    assert await groups(filled, "user") == {"ada": (2, 30, 1_500), "bob": (2, 70, 0)}
    assert await groups(filled, "token") == {None: (3, 90, 500), "t1": (1, 10, 1_000)}
    assert await groups(filled, "prompt") == {"": (1, 30, None), "greet": (3, 70, 1_500)}
    assert await groups(filled, "kind") == {"chat": (1, 30, None), "prompt": (3, 70, 1_500)}
    assert await groups(filled, "model") == {"m": (4, 100, 1_500)}
    assert await groups(filled, "node") == {None: (1, 30, None), "n": (3, 70, 1_500)}
    assert await groups(filled, "day") == {0: (2, 40, 1_000), DAY: (1, 20, 500), 3 * DAY: (1, 40, 0)}
    assert list(await groups(filled, "day", "user")) == [(0, "ada"), (0, "bob"), (DAY, "ada"), (3 * DAY, "bob")]


async def test_filters_apply(filled: Store) -> None:
    assert await groups(filled, "user", since=DAY, until=3 * DAY) == {"ada": (1, 20, 500)}
    assert await groups(filled, "day", principal="bob") == {0: (1, 30, None), 3 * DAY: (1, 40, 0)}
    assert await groups(filled, "user", principal="eve") == {}
    assert await filled.usage_sums(HistoryFilter(principal="eve"), ()) == (UsageSum(), ())
    assert await filled.usage_sums(HistoryFilter(principal="eve"), ("user",)) == (UsageSum(), ())


async def test_too_many_groups_are_refused(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herding.store.usage.MAX_GROUPS", 1)
    with pytest.raises(UserError, match="shorter period"):
        await groups(filled, "user")


async def test_a_request_keeps_its_kind_token_and_cost(store: Store, outcome) -> None:
    made = outcome(1, kind="embeddings", prompt="", token="t1", cost=123_456_789_012)
    await store.finish(made)
    entry = await store.entry(made.request_id, viewer="ada", owner=None)
    assert entry is not None
    assert entry.outcome == made
