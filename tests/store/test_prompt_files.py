"""Conflicts are kept with the version that they bring, and the state of all prompts is read at one moment."""

from __future__ import annotations

import pytest

from herding.errors import VersionConflictError
from herding.store import Store
from herding.values import FileState, PromptConflict, PromptState


async def test_a_conflict_comes_with_its_version(store: Store) -> None:
    await store.save_version("greet", "a", author="", message="", source="ui", at=1)
    await store.record_files([FileState("greet", 1, "d", 2, "greet.yaml")])
    found = PromptConflict("greet", base=1, ours=1, theirs=2, digest="e", at=3)
    made = await store.save_conflict(found, "b", author="file", message="m", file="greet.yaml")
    assert (made.number, made.source, made.message) == (2, "file", "m")
    file = FileState("greet", 2, "e", 3, "greet.yaml")
    assert await store.prompt_states() == {"greet": PromptState("greet", 2, False, {}, file, found)}
    assert await store.prompt_states({"greet", "ghost"}) == await store.prompt_states()
    with pytest.raises(VersionConflictError):
        await store.save_conflict(found, "c", author="file", message="")
    assert len(await store.versions("greet", limit=9)) == 2


async def test_agreeing_and_disagreeing_end_a_conflict(store: Store) -> None:
    for key in ("a", "b"):
        await store.save_version(key, "x", author="", message="", source="ui", at=1)
        found = PromptConflict(key, base=0, ours=1, theirs=2, digest="e", at=3)
        await store.save_conflict(found, "y", author="file", message="")
    await store.record_files([FileState("a", 2, "e", 4)])
    await store.forget_file("b")
    assert [state.conflict for state in (await store.prompt_states()).values()] == [None, None]


async def test_deleted_prompts_have_a_state_too(store: Store) -> None:
    await store.save_version("greet", "a", author="", message="", source="ui", at=1)
    await store.move_label("greet", "prod", 1, author="", message="", at=1)
    await store.retire("greet", author="x", at=2)
    assert await store.prompt_states() == {"greet": PromptState("greet", 1, retired=True, labels={"prod": 1})}
    assert await store.prompt_states({"greet"}) == await store.prompt_states()
    assert await store.prompt_states({"ghost"}) == {}
