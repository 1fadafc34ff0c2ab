"""What the history lists, for whom, and in what order."""

from __future__ import annotations

from typing import Any

import pytest

from herding.store import Facets, Store
from herding.values import HistoryCount, HistoryFilter, HistorySort, SortName, Timings, Usage
from tests.support.database import reserve


async def listed(store: Store, *, viewer: str = "ada", offset: int = 0, limit: int = 100, **where: Any) -> list[int]:
    """Numbers of the entries on a page; the total and the export must agree with it."""
    page = await store.history(HistoryFilter(**where), viewer=viewer, offset=offset, limit=limit)
    exported = [entry async for entry in store.export(HistoryFilter(**where), viewer=viewer)]
    assert page.total == len(exported)
    assert list(page.entries) == exported[offset : offset + limit]
    return [int(entry.outcome.request_id, 16) for entry in page.entries]


@pytest.fixture
async def filled(store: Store, outcome) -> Store:
    await store.finish(outcome(1, prompt="a", model="m1", node="n1"))
    await store.finish(outcome(2, prompt="a", model="m2", node="n1", status="failed", error="Node n1 is AWAY"))
    await store.finish(outcome(3, prompt="b", model="m1", node="n2", principal="bob", token="t1"))
    away = {"model": None, "node": None, "status": "cancelled", "kind": "chat"}
    await store.finish(outcome(4, prompt="b", principal="bob", **away))
    await store.rate(request_id=outcome(1).request_id, principal="ada", stars=5, at=1)
    await store.rate(request_id=outcome(3).request_id, principal="ada", stars=3, at=1)
    await store.rate(request_id=outcome(3).request_id, principal="bob", stars=5, at=1)
    await store.comment(request_id=outcome(2).request_id, principal="eve", text="sad", at=1)
    return store


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ({}, [4, 3, 2, 1]),
        ({"principal": "ada"}, [2, 1]),
        ({"principal": "nobody"}, []),
        ({"prompt": "a"}, [2, 1]),
        ({"model": "m1"}, [3, 1]),
        ({"node": "n1"}, [2, 1]),
        ({"status": "failed"}, [2]),
        ({"stars": 5}, [3, 1]),
        ({"stars": 3}, [3]),
        ({"stars": 0}, [4, 2]),
        ({"stars": 5, "viewer": "eve"}, [3, 1]),
        ({"stars": 0, "principal": "bob"}, [4]),
        ({"stars": 4}, []),
        ({"min_stars": 4}, [3, 1]),
        ({"min_stars": 4.5}, [1]),
        ({"max_stars": 4}, [3]),
        ({"min_stars": 4, "max_stars": 4}, [3]),
        ({"min_stars": 6}, []),
        ({"rated": True}, [3, 1]),
        ({"rated": False}, [4, 2]),
        ({"commented": True}, [2]),
        ({"commented": False, "rated": False}, [4]),
        ({"kind": "prompt"}, [3, 2, 1]),
        ({"kind": "chat"}, [4]),
        ({"token": "t1"}, [3]),
        ({"since": 1_002}, [4, 3, 2]),
        ({"until": 1_003}, [2, 1]),
        ({"since": 1_002, "until": 1_003, "prompt": "a"}, [2]),
        ({"prompt": "a", "model": "m1", "node": "n1", "status": "succeeded", "stars": 5, "principal": "ada"}, [1]),
        ({"prompt": "a", "model": "m1", "node": "n2"}, []),
        ({"text": "away"}, [2]),
        ({"text": "away", "status": "succeeded"}, []),
        ({"prompt": "a' OR '1'='1"}, []),
        ({"model": "m%"}, []),
        ({"text": ""}, [4, 3, 2, 1]),
    ],
)
async def test_filters_alone_and_together(filled: Store, where: dict[str, Any], numbers: list[int]) -> None:
    assert await listed(filled, **where) == numbers


async def test_text_is_found_wherever_it_stands(store: Store, outcome) -> None:
    places = [{"answer": "A Needle!"}, {"input": "needle"}, {"error": "no NEEDLE"}, {"variables": {"x": ["a needle"]}}]
    for number, place in enumerate(places):
        await store.finish(outcome(number, **place))
    await store.finish(outcome(4))
    await store.comment(request_id=outcome(4).request_id, principal="ada", text="my needle", at=1)
    await store.finish(outcome(5, answer="hay"))
    assert await listed(store, text="nEEdle") == [4, 3, 2, 1, 0]
    assert await listed(store, text="nEEdle", viewer="bob") == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    "text", ["100%", "a_b", "it's", 'say "hi"', "back\\slash", "new\nline", "'; DROP TABLE request; --", "[x]", "*?"]
)
async def test_text_is_literal(store: Store, outcome, text: str) -> None:
    await store.finish(outcome(1, answer=f"before {text} after"))
    await store.finish(outcome(2, variables={"x": f"before {text} after"}))
    await store.finish(outcome(3, answer="before 1000 aXb its say hi backslash newline x after"))
    assert await listed(store, text=text.upper()) == [2, 1]


async def test_case_of_other_alphabets_is_ignored(store: Store, outcome) -> None:
    await store.finish(outcome(1, answer="ÄRGER", variables={"x": "ΣΊΣΥΦΟΣ"}))
    assert await listed(store, text="ärger") == [1]
    assert await listed(store, text="σίσυφος") == [1]
    assert await listed(store, text="\ud800") == []


async def test_a_very_long_text_may_be_looked_for(store: Store, outcome) -> None:
    await store.finish(outcome(1, answer="x" * 100_000))
    assert await listed(store, text="X" * 90_000) == [1]
    assert await listed(store, text="X" * 90_000 + "y") == []


async def test_another_principals_request_is_invisible(filled: Store, outcome) -> None:
    request_id = outcome(3).request_id
    assert await filled.entry(request_id, viewer="ada", owner="ada") is None
    for owner in ("bob", None):
        entry = await filled.entry(request_id, viewer="ada", owner=owner)
        assert entry is not None
        assert entry.stars == 3
    assert await filled.entry("none", viewer="ada", owner=None) is None


async def test_pages_are_newest_first_without_gaps(store: Store, outcome) -> None:
    for number in range(25):
        await store.finish(outcome(number, created_at=1_000 + number // 10))  # many at the same instant
    pages = [await listed(store, offset=offset, limit=10) for offset in (0, 10, 20, 30)]
    assert [number for page in pages for number in page] == list(reversed(range(25)))
    assert await listed(store, offset=0, limit=0) == []


async def test_a_search_goes_through_all_windows(store: Store, outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("herding.store.search.WALK", 4)
    monkeypatch.setattr("herding.store.history.CHUNK", 3)
    for number in range(24):
        await store.finish(outcome(number, created_at=number // 5, answer="odd" if number % 2 else "even"))
    odd = list(reversed(range(1, 24, 2)))
    assert await listed(store, text="odd") == odd
    assert await listed(store, text="odd", offset=5, limit=4) == odd[5:9]
    assert await listed(store, text="odd", offset=11, limit=4) == odd[11:]
    assert await listed(store) == list(reversed(range(24)))


async def test_writes_go_on_while_an_export_waits_for_its_consumer(store: Store, outcome) -> None:
    for number in range(1_200):
        await reserve(store, outcome(number), limits=(), tokens=0)
    await store.check()  # anything that waits for the writer
    seen = []
    async for entry in store.export(HistoryFilter(), viewer="ada"):
        seen.append(int(entry.outcome.request_id, 16))
        if len(seen) in (1, 700):
            await store.finish(outcome(5_000 + len(seen)))
    assert seen == list(reversed(range(1_200)))


async def test_facets_list_what_occurs(filled: Store) -> None:
    kinds = ("chat", "prompt")
    assert await filled.facets(principal=None) == Facets(
        ("a", "b"), ("m1", "m2"), ("n1", "n2"), kinds=kinds, users=("ada", "bob")
    )
    assert await filled.facets(principal="bob") == Facets(("b",), ("m1",), ("n2",), kinds=kinds, users=("bob",))
    assert await filled.facets(principal="nobody") == Facets()


@pytest.fixture
async def measured(store: Store, outcome) -> Store:
    """Five requests with a text; the first two share their values, and the last has no cost and no rating."""
    values = [(30.0, 5, 200), (30.0, 5, 200), (10.0, 9, 100), (20.0, 7, 300), (40.0, 1, None)]
    for number, (total_ms, tokens, cost) in enumerate(values, 1):
        more = {"usage": Usage(tokens, 0), "timings": Timings(total_ms=total_ms), "cost": cost, "answer": "A text"}
        await store.finish(outcome(number, version=number % 2 + 1, **more))
    for number, stars in ((1, 4), (2, 4), (3, 5), (3, 2), (4, 1)):
        rating = {"principal": f"user {stars}", "stars": stars, "at": 1}
        await store.rate(request_id=outcome(number).request_id, **rating)
    return store


@pytest.mark.parametrize(
    ("by", "descending", "ascending"),
    [
        ("time", [5, 4, 3, 2, 1], [1, 2, 3, 4, 5]),
        ("latency", [5, 2, 1, 4, 3], [3, 4, 1, 2, 5]),
        ("tokens", [3, 4, 2, 1, 5], [5, 1, 2, 4, 3]),
        ("cost", [4, 2, 1, 3, 5], [3, 1, 2, 4, 5]),
        ("stars", [2, 1, 3, 4, 5], [4, 3, 1, 2, 5]),
    ],
)
@pytest.mark.parametrize("text", [None, "a text"])
async def test_a_sorted_history_comes_in_slices_without_gaps(
    measured: Store, by: SortName, descending: list[int], ascending: list[int], text: str | None
) -> None:
    for sort, expected in ((HistorySort(by), descending), (HistorySort(by, ascending=True), ascending)):
        found, after, slices = list[int](), None, 0
        while slices == 0 or after is not None:
            part = await measured.slice(HistoryFilter(text=text), viewer="ada", sort=sort, after=after, limit=2)
            found += [int(entry.outcome.request_id, 16) for entry in part.entries]
            after, slices = part.end, slices + 1
        assert (found, slices) == (expected, 3)


async def test_a_request_that_arrives_meanwhile_moves_no_slice(measured: Store, outcome) -> None:
    first = await measured.slice(HistoryFilter(), viewer="ada", sort=HistorySort(), after=None, limit=2)
    await measured.finish(outcome(9))
    following = await measured.slice(HistoryFilter(), viewer="ada", sort=HistorySort(), after=first.end, limit=9)
    assert [int(entry.outcome.request_id, 16) for entry in following.entries] == [3, 2, 1]


async def test_matching_requests_are_counted_and_the_newer_ones_too(measured: Store, outcome) -> None:
    newest = outcome(4)
    place = (newest.created_at, newest.request_id)
    for text in (None, "text"):
        where = HistoryFilter(text=text)
        assert await measured.count(where) == HistoryCount(5)
        assert await measured.newer(where, than=place, limit=9) == 1
        assert await measured.newer(where, than=None, limit=3) == 3
    assert await measured.count(HistoryFilter(version=2)) == HistoryCount(3)
    assert await measured.newer(HistoryFilter(version=1), than=place, limit=9) == 0


async def test_of_many_requests_with_a_text_the_newest_are_sorted(measured: Store, monkeypatch) -> None:
    monkeypatch.setattr("herding.store.history.SORTED", 2)
    where, sort = HistoryFilter(text="text"), HistorySort("tokens")
    found = await measured.slice(where, viewer="ada", sort=sort, after=None, limit=9)
    assert [int(entry.outcome.request_id, 16) for entry in found.entries] == [4, 5]
    assert found.cut
