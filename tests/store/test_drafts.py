"""Drafts: kept with every save, with steps to go back to."""

from __future__ import annotations

import asyncio
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event

from herding.errors import UserError
from herding.store import Store, sqlite
from herding.store.prompts import drafts
from herding.store.rows import storable
from herding.values import Draft, DraftStep

SECOND = 1_000


async def save(store: Store, content: str, at: int, *, who: str = "ada", key: str = "greet", base: int = 0) -> None:
    await store.save_draft(who, key, content, base=base, at=at)


async def steps(store: Store) -> list[str]:
    return [step.content for step in await store.draft_steps("ada", "greet")]


async def test_the_last_save_counts(store: Store) -> None:
    assert await store.draft("ada", "greet") is None
    await save(store, "a", 5)
    await save(store, "b", 6, base=3)
    assert await store.draft("ada", "greet") == Draft("ada", "greet", "b", 3, 6)
    assert await store.draft("bob", "greet") is await store.draft("ada", "other") is None


async def test_everyone_has_drafts_of_their_own(store: Store) -> None:
    await save(store, "a", 5)
    await save(store, "b", 9, key="other")
    await save(store, "c", 7, who="bob")
    assert [draft.key for draft in await store.drafts("ada")] == ["other", "greet"]
    assert await store.drafts("bob") == (Draft("bob", "greet", "c", 0, 7),)
    assert await store.drafts("eve") == ()
    await store.discard_draft("ada", "greet")
    await store.discard_draft("ada", "none")
    assert [draft.key for draft in await store.drafts("ada")] == ["other"]
    assert len(await store.drafts("bob")) == len(await store.draft_steps("bob", "greet")) == 1
    assert await store.draft_steps("ada", "greet") == ()


async def test_editors_are_those_who_changed_something_since(store: Store) -> None:
    for at, who in ((5, "eve"), (7, "bob"), (9, "ada")):
        await save(store, "a", at, who=who)
    await save(store, "a", 99, who="zoe", key="other")
    assert await store.editors("greet", since=7) == ("ada", "bob")
    assert await store.editors("greet", since=10) == await store.editors("none", since=0) == ()


async def test_typing_leaves_a_step_every_ten_seconds(store: Store) -> None:
    text = "The quick brown fox jumps"
    for second in range(len(text)):
        await save(store, text[: second + 1], second * SECOND)
    await save(store, text, 60 * SECOND)
    found = await store.draft_steps("ada", "greet")
    assert found == (
        DraftStep(1, text[:1], 0),
        DraftStep(2, text[:11], 10 * SECOND),
        DraftStep(3, text[:21], 20 * SECOND),
        DraftStep(4, text, 60 * SECOND),
    )


async def test_a_large_change_is_a_step_at_once(store: Store) -> None:
    await save(store, "a", 0)
    await save(store, "a" + "b" * 40, 1)
    await save(store, "a" + "b" * 41, 2)
    await save(store, "a", 3)
    assert await steps(store) == ["a", "a" + "b" * 41, "a"]


async def test_a_text_that_stood_is_a_step_when_it_goes(store: Store) -> None:
    await save(store, "a", 0)
    await save(store, "ab", 3 * SECOND)
    await save(store, "a" * 99, 3_600 * SECOND)
    assert await store.draft_steps("ada", "greet") == (
        DraftStep(1, "a", 0),
        DraftStep(2, "ab", 3 * SECOND),
        DraftStep(3, "a" * 99, 3_600 * SECOND),
    )


async def test_the_same_text_is_no_step(store: Store) -> None:
    for second in range(0, 100, 5):
        await save(store, "a", second * SECOND)
    assert await steps(store) == ["a"]
    assert (await store.drafts("ada"))[0].updated_at == 95 * SECOND


async def test_a_clock_that_goes_back_does_not_stop_the_steps(store: Store) -> None:
    await save(store, "a", 3_600 * SECOND)
    await save(store, "b", 0)
    assert await steps(store) == ["a", "b"]


async def test_the_oldest_steps_go(store: Store) -> None:
    await save(store, "mine", 0, who="bob")
    for number in range(205):
        await save(store, f"{number}", number * 60 * SECOND)
    found = await store.draft_steps("ada", "greet")
    assert len(found) == drafts.MAX_STEPS
    assert (found[0].content, found[-1].content, found[-1].seq) == ("5", "204", 205)
    assert len(await store.draft_steps("bob", "greet")) == 1


async def test_many_who_type_share_few_commits(store: Store, busy_writer, commits: list[object]) -> None:
    with busy_writer():
        writes = [asyncio.ensure_future(save(store, "a", 1, who=f"user {number}")) for number in range(200)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    assert len(commits) <= 20
    assert len(await store.editors("greet", since=0)) == 200


async def test_saves_of_one_batch_keep_their_order(store: Store, busy_writer, commits: list[object]) -> None:
    with busy_writer():
        writes = [asyncio.ensure_future(save(store, "x" * 50 * number, number)) for number in range(6)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    assert len(commits) == 2  # the one that held the writer, and the batch
    assert [len(step) for step in await steps(store)] == [0, 50, 100, 150, 200, 250]
    assert (await store.drafts("ada"))[0].content == "x" * 250


async def test_of_a_save_beside_a_discard_the_later_counts(store: Store, busy_writer) -> None:
    await save(store, "old", 0)
    for works, kept in (((save, None), False), ((None, save), True)):
        with busy_writer():
            calls = [work(store, "new", 1) if work else store.discard_draft("ada", "greet") for work in works]
            writes = [asyncio.ensure_future(call) for call in calls]
            await asyncio.sleep(0)
        await asyncio.gather(*writes)
        assert await store.draft("ada", "greet") == (Draft("ada", "greet", "new", 0, 1) if kept else None)
        assert await steps(store) == (["new"] if kept else [])


async def test_a_poisoned_draft_fails_alone(store: Store, busy_writer) -> None:
    with busy_writer():
        bases = [2**70 if number == 3 else 1 for number in range(8)]
        writes = [asyncio.ensure_future(save(store, "a", 1, key=f"{n}", base=base)) for n, base in enumerate(bases)]
        await asyncio.sleep(0)
    ends = await asyncio.gather(*writes, return_exceptions=True)
    assert [number for number, end in enumerate(ends) if end is not None] == [3]
    assert isinstance(ends[3], UserError)
    assert len(await store.drafts("ada")) == 7
    assert await store.draft_steps("ada", "3") == ()


async def test_a_draft_is_on_the_disk_when_its_save_returns(store: Store, path: Path) -> None:
    await save(store, "a", 1)
    with sqlite.DRIVER.connect(path) as other:
        assert other.execute("SELECT content FROM draft").fetchall() == [("a",)]
        assert other.execute("SELECT content FROM draft_step").fetchall() == [("a",)]
    other.close()


async def test_drafts_are_there_after_a_restart(url: str) -> None:
    store = await Store.open(url)
    await save(store, "a", 1)
    await save(store, "b", 60 * SECOND)
    await store.close()
    store = await Store.open(url)
    assert await store.draft("ada", "greet") == Draft("ada", "greet", "b", 0, 60 * SECOND)
    assert await steps(store) == ["a", "b"]
    await store.close()


async def test_forgetting_some_requests_leaves_drafts_and_versions_alone(store: Store, outcome) -> None:
    await store.finish(outcome(1, answer="a"))
    await save(store, "a", 1)
    await store.save_version("greet", "a", author="ada", message="m", source="ui", at=1)
    assert await store.erase_content(principal="ada", request_ids=[outcome(1).request_id]) == 1
    assert (await store.drafts("ada"))[0].content == "a"
    assert await steps(store) == ["a"]
    (version,) = await store.versions("greet", limit=9)
    assert (version.author, version.message, version.content) == ("ada", "m", "a")


@pytest.mark.sqlite
async def test_a_save_looks_nothing_up_by_reading_all(store: Store) -> None:
    """Every statement of a save searches an index."""

    found: list[str] = []

    def explain(_cursor: object, statement: str, parameters: tuple[object, ...], *_: object) -> None:
        if "draft" in statement and not statement.startswith(("INSERT", "EXPLAIN")):
            plan = store_connection[0].exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found.extend(row[-1] for row in plan)

    store_connection: list[Connection] = []

    def save_and_discard(connection: Connection) -> None:
        store_connection.append(connection)
        event.listen(connection, "before_cursor_execute", lambda _c, *rest: explain(*rest))
        drafts.save(connection, Draft("ada", "greet", "a", 1, 1), None)
        drafts.discard(connection, "ada", "greet")

    await store._writer.call(save_and_discard)
    looked = [step for step in found if "draft" in step]
    assert looked
    assert all("SEARCH" in step and "INDEX" in step for step in looked)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(), max_size=90), st.integers(0, 2**62)), min_size=1, max_size=20))
async def test_texts_survive_the_database(saves: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = await Store.open(f"sqlite:///{Path(directory) / 'db'}")
        for content, at in saves:
            await save(store, content, at)
            assert await store.draft("ada", "greet") == Draft("ada", "greet", storable(content), 0, at)
        found = await store.draft_steps("ada", "greet")
        assert found[0].content == storable(saves[0][0])
        assert all(step.content in {storable(content) for content, _ in saves} for step in found)
        assert all(one.content != other.content for one, other in pairwise(found))
        await store.close()


@pytest.mark.parametrize("strange", ["' OR 1=1 --", "\ud800", "x\x00", "", "x" * 100_000])
async def test_strange_names_are_only_strange(store: Store, strange: str) -> None:
    await save(store, "a", 1, who=strange, key=strange)
    found = await store.draft(strange, strange)
    assert found == Draft(storable(strange), storable(strange), "a", 0, 1)
    assert await store.editors(strange, since=0) == (storable(strange),)
    await store.discard_draft(strange, strange)
    assert await store.drafts(strange) == ()
