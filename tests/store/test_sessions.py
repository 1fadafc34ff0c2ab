"""The memory of a chat: the succeeded requests of a session."""

from __future__ import annotations

import pytest

from herding.store import Store
from herding.values import Attempt


async def numbers(store: Store, *, principal: str = "ada", session_id: str = "s", limit: int = 100) -> list[int]:
    found = await store.session(principal=principal, session_id=session_id, limit=limit)
    return [int(outcome.request_id, 16) for outcome in found]


async def test_a_session_is_its_latest_succeeded_requests_oldest_first(store: Store, outcome) -> None:
    for number in (3, 1, 2, 5, 4):
        await store.finish(outcome(number, session_id="s"))
    for number, status in enumerate(["running", "partial", "failed", "cancelled", "abandoned"]):
        await store.finish(outcome(10 + number, session_id="s", status=status))
    await store.finish(outcome(20, session_id="t"))
    await store.finish(outcome(21))
    await store.finish(outcome(22, session_id="s", principal="bob"))
    assert await numbers(store) == [1, 2, 3, 4, 5]
    assert await numbers(store, limit=2) == [4, 5]
    assert await numbers(store, limit=0) == []
    assert await numbers(store, principal="bob") == [22]
    assert await numbers(store, session_id="t") == [20]
    assert await numbers(store, session_id="' OR 1=1 --") == []


async def test_outcomes_of_a_session_are_whole(store: Store, outcome) -> None:
    whole = outcome(1, session_id="s", answer="hello", variables={"a": 1}, attempts=(Attempt(1, "n", "m", 1, 1.0),))
    await store.finish(whole)
    assert await store.session(principal="ada", session_id="s", limit=9) == (whole,)


@pytest.mark.sqlite
async def test_a_session_is_found_by_its_index(store: Store) -> None:
    query = (
        "EXPLAIN QUERY PLAN SELECT id FROM request WHERE principal = ? AND session_id = ? AND status = 'succeeded'"
        " ORDER BY created_at DESC, id DESC LIMIT 9"
    )
    plan = await store._reader.run(lambda c: c.exec_driver_sql(query, ("ada", "s")).all())
    assert any("ix_request_session" in row[-1] for row in plan)
