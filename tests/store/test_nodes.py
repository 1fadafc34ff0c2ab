"""Nodes that were added at run time, in the database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from herding.errors import ConflictError, NotFoundError
from herding.store import Store
from herding.values import NodeRecord

RECORD = NodeRecord(
    name="any",
    kind="template",
    config={"url": "http://127.0.0.1:8008/x", "body": {"deep": ["{USER_PROMPT}", None, 1.5]}, "é": "😀"},
    origin="http://127.0.0.1:8008",
    added_by="ada",
    at=7,
    owner="operategpt",
    sealed=b"\x00\xff sealed",
)


async def test_a_node_comes_back_as_it_was(store: Store, url: str) -> None:
    await store.add_node(RECORD)
    await store.add_node(replace(RECORD, name="first", at=3, sealed=None))
    await store.close()
    again = await Store.open(url)
    assert await again.nodes() == (replace(RECORD, name="first", at=3, sealed=None), RECORD)
    await again.close()


async def test_a_name_is_taken_once(store: Store) -> None:
    await store.add_node(RECORD)
    with pytest.raises(ConflictError, match="already"):
        await store.add_node(RECORD)


async def test_a_node_changes_and_goes(store: Store) -> None:
    await store.add_node(RECORD)
    changed = replace(RECORD, config={}, sealed=None, origin="https://x:443")
    await store.update_node(changed)
    assert await store.nodes() == (changed,)
    await store.delete_node("any")
    assert await store.nodes() == ()
    for work in (store.update_node(changed), store.delete_node("any")):
        with pytest.raises(NotFoundError, match="no node 'any'"):
            await work
