"""Stars and comments: one per principal and request, changeable."""

from __future__ import annotations

import pytest

from herding.errors import NotFoundError, UserError
from herding.store import Store
from herding.values import HistoryFilter, Score


async def test_stars_and_comment_change_and_clear(store: Store, outcome) -> None:
    await store.finish(outcome(1))
    one = {"request_id": outcome(1).request_id, "principal": "ada"}
    assert await store.rate(**one, stars=2, at=10) == Score(**one, stars=2, updated_at=10)
    assert await store.comment(**one, text="so so", at=11) == Score(**one, stars=2, comment="so so", updated_at=11)
    assert await store.rate(**one, stars=5, at=12) == Score(**one, stars=5, comment="so so", updated_at=12)
    assert await store.comment(**one, text="great", at=13) == Score(**one, stars=5, comment="great", updated_at=13)
    assert await store.rate(**one, stars=None, at=14) == Score(**one, comment="great", updated_at=14)
    assert await store.comment(**one, text="  ", at=15) == Score(**one, updated_at=15)


async def test_everyone_sees_all_opinions_and_which_is_their_own(store: Store, outcome) -> None:
    await store.finish(outcome(1))
    request_id = outcome(1).request_id
    await store.rate(request_id=request_id, principal="ada", stars=1, at=1)
    await store.rate(request_id=request_id, principal="bob", stars=4, at=1)
    await store.comment(request_id=request_id, principal="bob", text="fine", at=2)
    seen = {}
    for viewer in ("ada", "bob", "eve"):
        (entry,) = (await store.history(HistoryFilter(), viewer=viewer, offset=0, limit=9)).entries
        assert entry == await store.entry(request_id, viewer=viewer, owner=None)
        seen[viewer] = (entry.stars, entry.comment)
        assert [(one.principal, one.stars, one.comment, one.updated_at) for one in entry.ratings] == [
            ("ada", 1, None, 1),
            ("bob", 4, "fine", 2),
        ]
        assert (entry.mean_stars, entry.rated) == (2.5, 2)
    assert seen == {"ada": (1, None), "bob": (4, "fine"), "eve": (None, None)}


async def test_a_comment_alone_is_a_rating_without_a_mean(store: Store, outcome) -> None:
    await store.finish(outcome(1))
    await store.comment(request_id=outcome(1).request_id, principal="bob", text="fine", at=7)
    entry = await store.entry(outcome(1).request_id, viewer="ada", owner="ada")
    assert entry is not None
    assert entry.ratings == (Score(outcome(1).request_id, "bob", comment="fine", updated_at=7),)
    assert (entry.mean_stars, entry.rated) == (None, 0)


@pytest.mark.parametrize("stars", [0, 6, -1, 3.5, "4", True, 2**70])
async def test_other_numbers_are_refused(store: Store, outcome, stars: object) -> None:
    await store.finish(outcome(1))
    with pytest.raises(UserError, match="from 1 to 5"):
        await store.rate(request_id=outcome(1).request_id, principal="ada", stars=stars, at=1)


@pytest.mark.parametrize("request_id", ["none", "' OR 1=1 --", "\ud800", "x\x00", ""])
async def test_there_must_be_a_request(store: Store, request_id: str) -> None:
    with pytest.raises(NotFoundError):
        await store.rate(request_id=request_id, principal="ada", stars=1, at=1)
    with pytest.raises(NotFoundError):
        await store.comment(request_id=request_id, principal="ada", text="hm", at=1)
    with pytest.raises(NotFoundError):
        await store.rate(request_id=request_id, principal="ada", stars=None, at=1)


async def test_versions_of_a_prompt_are_numbered(store: Store) -> None:
    async def number(content: str, key: str = "greet") -> int:
        saved = await store.save_version(key, content, author="", message="", source="file", at=1)
        return saved.number

    assert [await number(content) for content in ("a", "a", "b", "b", "a", "ä\ud800")] == [1, 1, 2, 2, 3, 4]
    assert await number("b", key="other") == 1
