"""Labels: they move, and their moves can be taken back one after the other."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from herding.errors import NotFoundError, UserError
from herding.store import Store
from herding.values import LabelMove


@pytest.fixture
async def filled(store: Store) -> Store:
    """Five versions of `greet` and one of `other`."""
    for content in "abcde":
        await store.save_version("greet", content, author="", message="", source="file", at=1)
    await store.save_version("other", "z", author="", message="", source="file", at=1)
    return store


async def move(store: Store, number: int | None, label: str = "prod", key: str = "greet", **more: str) -> LabelMove:
    return await store.move_label(key, label, number, **{"author": "ada", "message": ""} | more, at=7)


async def back(store: Store, label: str = "prod", key: str = "greet") -> int | None:
    return (await store.undo_label_move(key, label, author="bob", at=9)).number


async def test_a_label_moves_and_tells_of_it(filled: Store) -> None:
    first = await move(filled, 3, message="better")
    assert first == LabelMove(first.id, "greet", "prod", 3, None, "ada", "better", 7)
    second = await move(filled, 2)
    assert second == LabelMove(second.id, "greet", "prod", 2, 3, "ada", "", 7)
    gone = await move(filled, None)
    assert gone == LabelMove(gone.id, "greet", "prod", None, 2, "ada", "", 7)
    assert first.id < second.id < gone.id
    assert await filled.labels("greet") == {}
    assert await filled.label_moves("greet", limit=9) == (gone, second, first)
    assert await filled.label_moves("greet", "prod", limit=2) == (gone, second)


async def test_labels_are_apart_from_one_another(filled: Store) -> None:
    await move(filled, 1, "dev")
    await move(filled, 2, "prod")
    await move(filled, 1, "prod", "other")
    assert await filled.labels("greet") == {"dev": 1, "prod": 2}
    assert await filled.labels("none") == {}
    assert {key: state.labels for key, state in (await filled.prompt_states()).items()} == {
        "greet": {"dev": 1, "prod": 2},
        "other": {"prod": 1},
    }
    assert [found.label for found in await filled.label_moves("greet", limit=9)] == ["prod", "dev"]
    assert [found.label for found in await filled.label_moves("greet", "dev", limit=9)] == ["dev"]
    assert await filled.label_moves("greet", "test", limit=9) == await filled.label_moves("greet", limit=-1) == ()
    assert await back(filled, "dev") is None
    assert {key: state.labels for key, state in (await filled.prompt_states()).items()} == {
        "greet": {"prod": 2},
        "other": {"prod": 1},
    }


async def test_a_move_to_where_it_is_changes_nothing(filled: Store) -> None:
    first = await move(filled, 3)
    assert await move(filled, 3, author="eve") == first
    assert await filled.label_moves("greet", limit=9) == (first,)


@pytest.mark.parametrize("number", [0, -1, 6, 2**31, 2**70])
async def test_there_must_be_such_a_version(filled: Store, number: int) -> None:
    with pytest.raises(NotFoundError, match="no version"):
        await move(filled, number)
    assert await filled.label_moves("greet", limit=9) == ()


async def test_what_is_not_there_is_not_taken_away(filled: Store) -> None:
    for key in ("greet", "none", "' OR 1=1 --", "\ud800"):
        with pytest.raises(NotFoundError, match="no label 'prod'"):
            await move(filled, None, key=key)
        with pytest.raises(NotFoundError, match="no move to undo"):
            await back(filled, key=key)
    with pytest.raises(NotFoundError, match="no version"):
        await move(filled, 5, key="other")


@pytest.mark.parametrize("label", ["", "Prod", "3", "-x", "a b", "é", "prod\n", "x" * 33, "\ud800"])
async def test_a_label_is_a_short_word(filled: Store, label: str) -> None:
    with pytest.raises(UserError, match="A label has"):
        await move(filled, 1, label)


async def test_moves_are_taken_back_one_after_the_other(filled: Store) -> None:
    for number in (1, 2, 3):
        await move(filled, number)
    assert await back(filled) == 2
    assert await filled.labels("greet") == {"prod": 2}
    await move(filled, 5)
    assert [await back(filled) for _ in range(3)] == [2, 1, None]
    assert await filled.labels("greet") == {}
    with pytest.raises(NotFoundError, match="no move to undo"):
        await back(filled)
    await move(filled, 4)
    assert await back(filled) is None


async def test_taking_back_is_a_move_that_says_which_it_undoes(filled: Store) -> None:
    first, second = await move(filled, 1), await move(filled, 2)
    taken = await filled.undo_label_move("greet", "prod", author="bob", at=9)
    assert taken == LabelMove(taken.id, "greet", "prod", 1, 2, "bob", "", 9, undoes=second.id)
    assert await filled.label_moves("greet", limit=9) == (taken, second, first)
    assert await move(filled, 1) == taken


async def test_a_label_that_was_taken_away_comes_back(filled: Store) -> None:
    await move(filled, 4)
    await move(filled, None)
    assert await back(filled) == 4
    assert await filled.labels("greet") == {"prod": 4}


async def test_many_who_take_back_at_once_take_back_different_moves(filled: Store) -> None:
    for number in [1, 2, 3, 4, 5] * 4:
        await move(filled, number)
    ends = await asyncio.gather(*(back(filled) for _ in range(21)), return_exceptions=True)
    assert ends[:-1] == [*([1, 2, 3, 4, 5] * 4)[-2::-1], None]
    assert isinstance(ends[-1], NotFoundError)


async def test_labels_outlive_a_deletion_and_a_restart(url: str) -> None:
    store = await Store.open(url)
    await store.save_version("greet", "a", author="", message="", source="file", at=1)
    moved = await move(store, 1)
    await store.retire("greet", author="ada", at=2)
    await store.close()
    store = await Store.open(url)
    assert {key: state.labels for key, state in (await store.prompt_states()).items()} == {"greet": {"prod": 1}}
    assert await store.label_moves("greet", limit=9) == (moved,)
    assert await back(store) is None
    await store.close()


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.none() | st.just("back") | st.integers(1, 3), max_size=25))
async def test_it_is_a_stack(steps: list[int | str | None]) -> None:
    stack: list[int | None] = [None]
    with tempfile.TemporaryDirectory() as directory:
        store = await Store.open(f"sqlite:///{Path(directory) / 'db'}")
        for content in "abc":
            await store.save_version("greet", content, author="", message="", source="file", at=1)
        for step in steps:
            if step == "back" and len(stack) > 1:
                stack.pop()
                assert await back(store) == stack[-1]
            elif step == "back" or (step is None and stack[-1] is None):
                with pytest.raises(NotFoundError):
                    await (back(store) if step else move(store, None))
            elif not isinstance(step, str):
                await move(store, step)
                stack += [step] if step != stack[-1] else []
            assert (await store.labels("greet")).get("prod") == stack[-1]
        await store.close()
