"""The store on PostgreSQL: what only a server can do to it."""

from __future__ import annotations

import pytest

from herding.store import Store
from herding.values import HistoryFilter

pytestmark = pytest.mark.postgres


async def test_a_row_comes_back(postgres_url: str, outcome) -> None:
    store = await Store.open(postgres_url)
    await store.finish(outcome(1, answer="hello"))
    page = await store.history(HistoryFilter(), viewer="ada", offset=0, limit=9)
    assert [entry.outcome.answer for entry in page.entries] == ["hello"]
    await store.close()
