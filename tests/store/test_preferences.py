"""Which of two answers is better: one verdict a principal and pair, changeable, gone with its request."""

from __future__ import annotations

import pytest

from herding.errors import NotFoundError
from herding.store import Store
from herding.values import Preference


@pytest.fixture
async def ids(store: Store, outcome) -> list[str]:
    """Three requests."""
    for number in (1, 2, 3):
        await store.finish(outcome(number))
    return [outcome(number).request_id for number in (1, 2, 3)]


async def test_a_pair_has_one_verdict_whichever_way_round(store: Store, ids: list[str]) -> None:
    one, two, _ = ids
    assert await store.preference(one, two, "ada") is None
    for said in (
        Preference(one, two, "ada", at=1),
        Preference(two, one, "ada", at=2),
        Preference(one, two, "ada", equal=True, at=3),
        Preference(two, one, "ada", at=4),
    ):
        await store.save_preference(said)
        assert await store.preference(one, two, "ada") == said
        assert await store.preference(two, one, "ada") == said
    await store.delete_preference(one, two, "ada")
    assert await store.preference(one, two, "ada") is None
    await store.delete_preference(one, two, "ada")


async def test_everybody_and_every_pair_have_their_own(store: Store, ids: list[str]) -> None:
    one, two, three = ids
    for said in (Preference(one, two, "ada"), Preference(two, one, "bob"), Preference(three, one, "ada")):
        await store.save_preference(said)
    await store.delete_preference(one, three, "bob")
    assert await store.preference(one, two, "ada") == Preference(one, two, "ada")
    assert await store.preference(one, two, "bob") == Preference(two, one, "bob")
    assert await store.preference(one, three, "ada") == Preference(three, one, "ada")
    assert await store.preference(two, three, "ada") is None


@pytest.mark.parametrize("other", ["none", "' OR 1=1 --", "\ud800", "x\x00", ""])
async def test_there_must_be_both_requests(store: Store, ids: list[str], other: str) -> None:
    for said in (Preference(ids[0], other, "ada"), Preference(other, ids[0], "ada")):
        with pytest.raises(NotFoundError):
            await store.save_preference(said)
    assert await store.preference(ids[0], other, "ada") is None


async def test_it_stays_when_texts_are_forgotten_and_after_a_restart(store: Store, url: str, ids: list[str]) -> None:
    await store.save_preference(Preference(ids[0], ids[1], "ada", at=7))
    await store.erase_content(principal="ada", request_ids=None)
    await store.close()
    again = await Store.open(url)
    assert await again.preference(ids[1], ids[0], "ada") == Preference(ids[0], ids[1], "ada", at=7)
    await again.close()
