"""Versions of prompts: numbered, never changed, never lost; deleted prompts; what the files hold."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from herding.errors import ConflictError, NotFoundError, VersionConflictError
from herding.store import Store
from herding.store.prompts.tables import prompt_retired
from herding.store.rows import storable
from herding.values import FileState, PromptVersion

text = st.text(st.characters())  # half surrogate pairs too
ADA = {"author": "ada", "message": "shorter", "source": "ui"}


async def newest_numbers(store: Store) -> dict[str, int]:
    return {key: state.newest for key, state in (await store.prompt_states()).items() if not state.retired}


async def retired(store: Store) -> list[str]:
    return [key for key, state in (await store.prompt_states()).items() if state.retired]


async def files(store: Store) -> dict[str, FileState]:
    return {key: state.file for key, state in (await store.prompt_states()).items() if state.file}


async def save(store: Store, content: str, key: str = "greet", *, at: int = 1, base: int | None = None) -> int:
    return (await store.save_version(key, content, author="ada", message="", source="ui", at=at, base=base)).number


async def test_a_version_tells_who_made_it_and_why(store: Store) -> None:
    saved = await store.save_version("greet", "hällo", **ADA, at=7)
    digest = hashlib.sha256("hällo".encode()).hexdigest()
    assert saved == PromptVersion("greet", 1, digest, "hällo", "ada", "shorter", "ui", 7)
    assert await store.version("greet", 1) == saved
    again = await store.save_version("greet", "hällo", author="bob", message="mine", source="api", at=8)
    assert again == saved
    assert await store.versions("greet", limit=9) == (saved,)


async def test_only_the_newest_content_is_not_saved_again(store: Store) -> None:
    assert [await save(store, content) for content in ("a", "b", "a", "a", "")] == [1, 2, 3, 3, 4]


async def test_a_change_of_an_old_version_is_a_conflict(store: Store) -> None:
    assert await save(store, "a", base=0) == 1
    assert await save(store, "b", base=1) == 2
    for base in (0, 1, 3, -1, 2**70):
        with pytest.raises(VersionConflictError, match="at version 2") as caught:
            await save(store, "c", base=base)
        assert (caught.value.newest, caught.value.param, caught.value.type) == (2, "base", "version_conflict")
        assert isinstance(caught.value, ConflictError)
        assert await save(store, "b", base=base) == 2
    with pytest.raises(VersionConflictError, match="no prompt 'other'") as caught:
        await save(store, "c", "other", base=2)
    assert caught.value.newest == 0
    assert await save(store, "c", base=2) == 3
    assert await save(store, "d", base=None) == 4


@pytest.mark.parametrize("base", [0, 1])
async def test_of_many_with_the_same_base_one_wins(store: Store, base: int) -> None:
    if base:
        await save(store, "first")
    ends = await asyncio.gather(*(save(store, f"{n}", base=base) for n in range(20)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["VersionConflictError"] * 19 + ["int"]
    assert {end.newest for end in ends if isinstance(end, VersionConflictError)} == {base + 1}
    assert await newest_numbers(store) == {"greet": base + 1}


async def test_numbers_have_no_gaps_however_many_save(store: Store) -> None:
    numbers = await asyncio.gather(*(save(store, f"text {n}") for n in range(200)))
    assert sorted(numbers) == list(range(1, 201))
    found = await store.versions("greet", limit=1_000)
    assert [version.number for version in found] == list(range(200, 0, -1))
    assert {version.content for version in found} == {f"text {n}" for n in range(200)}


async def test_two_stores_of_one_database_count_together(store: Store, url: str) -> None:
    other = await Store.open(url, beside_app=True)
    numbers = await asyncio.gather(*(save(one, f"{id(one)} {n}") for n in range(20) for one in (store, other)))
    assert sorted(numbers) == list(range(1, 41))
    await other.close()


async def test_versions_come_in_pages(store: Store) -> None:
    for content in "abcde":
        await save(store, content)
    await save(store, "z", "other")

    async def numbers(limit: int, before: int | None = None) -> list[int]:
        return [version.number for version in await store.versions("greet", limit=limit, before=before)]

    assert await numbers(2) == [5, 4]
    assert await numbers(2, 4) == [3, 2]
    assert await numbers(9, 2) == [1]
    assert await numbers(9, 2**70) == [5, 4, 3, 2, 1]
    assert await numbers(9, 1) == await numbers(9, -(2**70)) == await numbers(0) == await numbers(-1) == []
    assert await store.versions("none", limit=9) == ()


@pytest.mark.parametrize("number", [0, -1, 2, 2**31, 2**70])
async def test_a_number_that_is_none_is_not_found(store: Store, number: int) -> None:
    await save(store, "a")
    assert await store.version("greet", number) is None


async def test_a_deleted_prompt_keeps_its_versions(store: Store) -> None:
    await save(store, "a")
    await save(store, "z", "other")
    await store.retire("greet", author="bob", at=5)
    await store.retire("greet", author="eve", at=6)
    rows = await store._reader.run(lambda c: c.execute(select(prompt_retired)).all())
    assert [tuple(row) for row in rows] == [("greet", "bob", 5)]
    assert await newest_numbers(store) == {"other": 1}
    assert (await store.versions("greet", limit=9))[0].content == "a"
    with pytest.raises(NotFoundError, match="'none'"):
        await store.retire("none", author="bob", at=5)


@pytest.mark.parametrize(("content", "base", "number"), [("a", None, 1), ("b", None, 2), ("b", 0, 2), ("b", 1, 2)])
async def test_saving_brings_a_deleted_prompt_back(store: Store, content: str, base: int | None, number: int) -> None:
    await save(store, "a")
    await store.retire("greet", author="bob", at=5)
    assert await save(store, content, base=base) == number
    assert await retired(store) == []
    assert await newest_numbers(store) == {"greet": number}
    with pytest.raises(VersionConflictError):
        await save(store, "c", base=0)


async def test_a_conflict_does_not_bring_it_back(store: Store) -> None:
    await save(store, "a")
    await save(store, "b")
    await store.retire("greet", author="bob", at=5)
    with pytest.raises(VersionConflictError):
        await save(store, "c", base=1)
    assert await retired(store) == ["greet"]


async def test_all_is_there_after_a_restart(url: str) -> None:
    store = await Store.open(url)
    saved = await store.save_version("greet", "a", **ADA, at=7)
    await store.save_version("gone", "b", **ADA, at=7)
    await store.retire("gone", author="ada", at=8)
    await store.record_files([FileState("greet", 1, "d", 9)])
    await store.close()
    store = await Store.open(url)
    assert await store.versions("greet", limit=9) == (saved,)
    assert await newest_numbers(store) == {"greet": 1}
    assert await retired(store) == ["gone"]
    assert await files(store) == {"greet": FileState("greet", 1, "d", 9)}
    await store.close()


async def test_files_agree_until_they_do_not(store: Store) -> None:
    for key in ("a", "b"):
        await save(store, "x", key)
    assert await files(store) == {}
    await store.record_files([FileState("b", 2, "d2", 5)])
    await store.record_files([FileState("a", 1, "d1", 5)])
    await store.record_files([FileState("b", 3, "d3", 6)])
    assert await files(store) == {"a": FileState("a", 1, "d1", 5), "b": FileState("b", 3, "d3", 6)}
    await store.forget_file("b")
    await store.forget_file("none")
    assert list(await files(store)) == ["a"]


@pytest.mark.sqlite
async def test_the_newest_numbers_come_from_an_index(store: Store) -> None:
    plan = await store._reader.run(
        lambda c: c.exec_driver_sql("EXPLAIN QUERY PLAN SELECT key, max(number) FROM prompt_version GROUP BY key").all()
    )
    assert "COVERING INDEX" in plan[0][-1]


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), text, text, text), max_size=20))
async def test_texts_survive_the_database(saves: list[tuple[str, str, str, str]]) -> None:
    newest: dict[str, PromptVersion] = {}
    with tempfile.TemporaryDirectory() as directory:
        store = await Store.open(f"sqlite:///{Path(directory) / 'db'}")
        for key, content, author, message in saves:
            saved = await store.save_version(key, content, author=author, message=message, source="api", at=1)
            assert await store.version(key, saved.number) == saved
            before = newest.get(key)
            if before and before.content == storable(content):
                assert saved == before
            else:
                texts = (storable(content), storable(author), storable(message))
                assert (saved.content, saved.author, saved.message) == texts
                assert saved.number == (before.number + 1 if before else 1)
            newest[key] = saved
        assert await newest_numbers(store) == {key: version.number for key, version in newest.items()}
        await store.close()


async def test_strange_keys_are_only_strange(store: Store) -> None:
    for key in ("' OR 1=1 --", "\ud800", "k\x00", "", "x" * 100_000, "Ärger/ünd"):
        assert await save(store, "a", key) == 1
        found = await store.version(key, 1)
        assert found is not None
        assert found.key == storable(key)
        await store.retire(key, author="\udc80", at=1)
        await store.record_files([FileState(key, 1, "\x00", 1)])
        await store.forget_file(key)
    assert await newest_numbers(store) == await files(store) == {}
