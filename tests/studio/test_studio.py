"""Who may write, publish, delete and see which prompts."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from herding.access.operations import ADMINISTER, PROMPTS, PUBLISH, SAVE
from herding.errors import AccessError, ConflictError, NotFoundError, StoreError, UserError
from herding.prompts.directory import ID_FILE
from herding.studio.studio import SaveResult, Studio
from herding.values import Principal, Request
from tests.support.herding import ADMIN, GUEST, NOBODY, Place, herding
from tests.support.nodes import echo
from tests.support.people import principal

USER = principal("ada", "user")
RATER = principal("rob", "rater")
NEW: dict[str, Any] = {
    "name": "New",
    "target_models": ["echo"],
    "variables": {"text": {"default": "one two"}},
    "messages": [{"role": "user", "content": "{{text}}"}],
}

CASES: dict[str, Callable[[Studio, Principal], Any]] = {
    "save": lambda studio, who: studio.save("new", NEW, who),
    "delete": lambda studio, who: studio.delete("say", who),
    "labels": lambda studio, who: studio.labels("say", who),
    "move_label": lambda studio, who: studio.move_label("say", "prod", 1, who),
    "undo_label_move": lambda studio, who: studio.undo_label_move("say", "test", who),
    "label_moves": lambda studio, who: studio.label_moves("say", who),
    "versions": lambda studio, who: studio.versions("say", who),
    "version": lambda studio, who: studio.version("say", 1, who),
    "yaml": lambda studio, who: studio.yaml("say", 1, who),
    "diff": lambda studio, who: studio.diff("say", 1, 1, who),
    "conflicts": lambda studio, who: studio.conflicts(who),
    "resolve": lambda studio, who: studio.resolve("say", 1, who),
    "export": lambda studio, who: studio.export(who),
    "import_bundle": lambda studio, who: studio.import_bundle(b"", who),
}
READING = {"labels", "label_moves", "versions", "version", "yaml", "diff", "export"}
"""What takes no right but to see prompts."""


def without(who: Principal, *rights: str) -> Principal:
    return replace(who, rights=who.rights - set(rights))


def files(place: Place) -> dict[str, str]:
    paths = [path for path in place.prompts.rglob("*") if path.is_file() and path.name != ID_FILE]
    return {path.relative_to(place.prompts).as_posix(): path.read_text() for path in paths}


@pytest.fixture
def studio(place: Place) -> Studio:
    return place.orchestrator.studio


def test_every_public_method_has_a_case() -> None:
    assert {name for name, _ in inspect.getmembers(Studio, callable) if not name.startswith("_")} == CASES.keys()


@pytest.mark.parametrize("name", sorted(CASES.keys() - READING))
@pytest.mark.parametrize("who", [NOBODY, GUEST, RATER, without(ADMIN, PROMPTS), without(ADMIN, SAVE, PUBLISH)])
async def test_without_the_right_nothing_changes(place: Place, studio: Studio, name: str, who: Principal) -> None:
    before = files(place)
    with pytest.raises(AccessError):
        await CASES[name](studio, who)
    assert files(place) == before


@pytest.mark.parametrize("name", sorted(READING))
async def test_whoever_may_see_prompts_may_look(studio: Studio, name: str) -> None:
    await CASES[name](studio, GUEST)
    for who in (NOBODY, without(ADMIN, PROMPTS)):
        with pytest.raises(AccessError):
            await CASES[name](studio, who)
    if name != "export":
        with pytest.raises(NotFoundError, match="There is no prompt 'say'"):
            await CASES[name](studio, replace(ADMIN, prompts=("other",)))


@pytest.mark.parametrize("name", sorted(CASES))
async def test_an_admin_may_do_everything(studio: Studio, name: str) -> None:
    with contextlib.suppress(UserError):  # no conflict, no move of a label, no zip
        await CASES[name](studio, ADMIN)


# Saving


async def test_a_saved_prompt_runs_at_once(place: Place, studio: Studio) -> None:
    assert await studio.save("my/new", NEW, USER) == SaveResult("my/new", 1, new=True, changed=True)
    outcome = await place.orchestrator.pipeline.run(Request("my/new@1"), GUEST)
    assert (outcome.answer, outcome.version) == ("one two", 1)
    changed = NEW | {"variables": {"text": {"default": "three"}}}
    assert await studio.save("my/new", changed, USER) == SaveResult("my/new", 2, new=False, changed=True)
    assert (await place.orchestrator.pipeline.run(Request("my/new"), GUEST)).answer == "three"


async def test_the_same_content_is_no_new_version(place: Place, studio: Studio) -> None:
    await studio.save("new", NEW, USER)
    before = (place.prompts / "new.yaml").stat()
    assert await studio.save("new", NEW | {"tags": []}, USER) == SaveResult("new", 1, new=False, changed=False)
    assert (place.prompts / "new.yaml").stat() == before
    assert await studio.save("new", NEW | {"label": "dev"}, USER) == SaveResult("new", 1, new=False, changed=True)
    assert await studio.labels("new", USER) == {"dev": 1}


async def test_what_is_replaced_has_a_number(place: Place, studio: Studio) -> None:
    """Nobody ran it or looked at it before."""
    place.write("new", "name: By hand\ntarget_models: [echo]\nprompt: hi\n")
    assert (await studio.save("new", NEW, USER)).version == 2


async def test_a_label_prod_takes_the_right_to_publish(place: Place, studio: Studio) -> None:
    with pytest.raises(AccessError, match="'publish'"):
        await studio.save("new", NEW | {"label": "prod"}, USER)
    assert list(files(place)) == ["say.yaml"]
    await studio.save("new", NEW | {"label": "prod"}, ADMIN)
    with pytest.raises(AccessError, match="'publish'"):
        await studio.save("new", NEW | {"label": "prod", "name": "Mine"}, USER)
    assert (await studio.save("new", NEW | {"label": "dev", "name": "Mine"}, USER)).version == 2
    assert (await place.orchestrator.pipeline.run(Request("new"), GUEST)).version == 1


async def test_web_pages_are_let_in_by_who_may_publish(studio: Studio) -> None:
    with pytest.raises(AccessError, match="'publish'"):
        await studio.save("new", NEW | {"cors": ["*"]}, USER)
    await studio.save("new", NEW | {"cors": ["*"]}, ADMIN)
    with pytest.raises(AccessError, match="'publish'"):
        await studio.save("new", NEW, USER)


async def test_a_role_that_publishes_need_not_be_an_admin(studio: Studio) -> None:
    editor = replace(USER, rights=USER.rights | {PUBLISH})
    await studio.save("new", NEW | {"label": "prod"}, editor)
    await studio.delete("new", editor)


async def test_keys_outside_of_the_patterns(place: Place, studio: Studio) -> None:
    team = replace(USER, prompts=("team/*",), rights=USER.rights | {PUBLISH})
    before = files(place)
    for key in ("new", "say", "other/x", "../team/x"):
        with pytest.raises(AccessError, match=r"team/\*"):
            await studio.save(key, NEW, team)
    with pytest.raises(NotFoundError):
        await studio.delete("say", team)
    with pytest.raises(UserError):
        await studio.save("team/../say", NEW, team)
    assert files(place) == before
    await studio.save("team/x", NEW, team)
    await studio.delete("team/x", team)


async def test_what_is_wrong_is_said(place: Place, studio: Studio) -> None:
    with pytest.raises(UserError) as caught:
        await studio.save("new", NEW | {"colour": "red"}, USER)
    assert (caught.value.param, caught.value.message) == (
        "colour",
        "The prompt has an error: colour: this key is not known here.",
    )
    assert list(files(place)) == ["say.yaml"]


async def test_a_disk_that_refuses_hinders_no_version(
    place: Place, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace_fails(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", replace_fails)
        assert (await studio.save("new", NEW, USER)).file == "unwritable"
        assert (await place.orchestrator.pipeline.run(Request("new"), GUEST)).answer == "one two"
        assert list(files(place)) == ["say.yaml"]
    assert (await studio.save("new", NEW, USER)).file == "written"
    assert "new.yaml" in files(place)


# Versions


async def test_a_change_of_another_version_is_refused(place: Place, studio: Studio) -> None:
    await studio.save("new", NEW, USER, expected=None)
    await studio.save("new", NEW | {"name": "Two"}, USER, expected=[1])
    before = files(place)
    for expected in ([1], [3, 4], []):
        with pytest.raises(ConflictError, match="at v2"):
            await studio.save("new", NEW | {"name": "Three"}, USER, expected=expected)
        with pytest.raises(ConflictError, match="at v2"):
            await studio.delete("new", ADMIN, expected=expected)
    with pytest.raises(ConflictError, match="does not exist"):
        await studio.save("ghost", NEW, USER, expected=[1])
    assert files(place) == before
    await studio.delete("new", ADMIN, expected=[1, 2])


async def test_of_two_who_change_one_version_one_wins(studio: Studio) -> None:
    await studio.save("new", NEW, USER)
    names = [f"Name {number}" for number in range(8)]
    results = await asyncio.gather(
        *(studio.save("new", NEW | {"name": name}, USER, expected=[1]) for name in names), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["ConflictError"] * 7 + ["SaveResult"]


async def test_a_change_by_hand_counts(place: Place, studio: Studio) -> None:
    await studio.save("new", NEW, USER)
    path = place.prompts / "new.yaml"
    path.write_text(path.read_text().replace("New", "By hand"))
    with pytest.raises(ConflictError, match="at v2"):
        await studio.save("new", NEW, USER, expected=[1])
    assert "By hand" in path.read_text()


async def test_a_file_that_changes_in_between_is_not_overwritten(
    place: Place, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    await studio.save("new", NEW, USER)
    save = place.library.save

    def late(*args: Any) -> Any:
        place.write("new", "name: Secret\nlabel: prod\ntarget_models: [echo]\nprompt: hi\n")
        return save(*args)

    with monkeypatch.context() as slow:
        slow.setattr(place.library, "save", late)
        assert (await studio.save("new", NEW | {"name": "Two"}, USER)).file == "conflict"
    assert "Secret" in files(place)["new.yaml"]
    (conflict,) = await studio.conflicts(USER)
    assert (conflict.key, conflict.base, conflict.ours, conflict.theirs) == ("new", 1, 2, 3)


async def test_many_save_one_prompt_at_once(place: Place, studio: Studio) -> None:
    names = [f"Name {number}" for number in range(10)]
    saved = await asyncio.gather(*(studio.save("new", NEW | {"name": name}, USER) for name in names))
    assert sorted(one.version for one in saved) == list(range(1, 11))
    assert place.library.get("new").prompt.name in names
    assert sorted(files(place)) == ["new.yaml", "say.yaml"]


async def test_prompts_are_listed_while_the_database_takes_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> int:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(place.store, "save_versions", full)
    assert [info.version for info in await place.orchestrator.prompts.list_all(GUEST)] == [0]
    with pytest.raises(StoreError):
        await place.orchestrator.studio.save("say", NEW, USER)


# Deleting


async def test_a_deleted_prompt_is_gone_at_once(place: Place, studio: Studio) -> None:
    await studio.delete("say", ADMIN)
    assert await place.orchestrator.prompts.list_all(ADMIN) == []
    with pytest.raises(NotFoundError):
        await place.orchestrator.pipeline.run(Request("say"), ADMIN)
    with pytest.raises(NotFoundError):
        await studio.delete("say", ADMIN)


async def test_numbers_go_on_after_a_delete(studio: Studio) -> None:
    await studio.save("new", NEW, USER)
    await studio.delete("new", ADMIN)
    assert (await studio.save("new", NEW | {"name": "Again"}, USER)).version == 2


async def test_who_only_saves_deletes_nothing(studio: Studio) -> None:
    await studio.save("new", NEW, USER)
    with pytest.raises(AccessError, match="'publish'"):
        await studio.delete("new", USER)


# Roles


@pytest.fixture
async def two(tmp_path: Path) -> Any:
    """A Herding with a prompt for users only; ADMIN has the right to administer."""
    async with herding(tmp_path, echo()) as place:
        await place.orchestrator.studio.save("ours", NEW | {"roles": ["user"]}, USER)
        yield place


async def visible(place: Place, who: Principal) -> set[str]:
    """What somebody sees of the prompts, by all ways there are."""
    listed = {info.key for info in await place.orchestrator.prompts.list_all(who)}
    (node,) = await place.orchestrator.nodes.list_all(who)
    assert set(node.prompts) == listed
    found = set()
    for key in place.library.snapshot.prompts:
        with contextlib.suppress(NotFoundError):
            found.add((await place.orchestrator.prompts.find(key, who)).key)
            assert (await place.orchestrator.prompts.get(key, who)).key == key
    assert found == listed
    return listed


async def test_a_prompt_for_some_roles(two: Place) -> None:
    assert await visible(two, GUEST) == {"say"}
    assert await visible(two, USER) == {"say", "ours"}
    assert await visible(two, ADMIN) == {"say", "ours"}
    assert await visible(two, without(ADMIN, ADMINISTER)) == {"say"}


async def test_roles_never_widen(two: Place) -> None:
    assert await visible(two, replace(USER, prompts=("s*",))) == {"say"}
    assert await visible(two, replace(ADMIN, prompts=())) == set()


async def test_what_is_hidden_is_not_there(two: Place) -> None:
    for key in ("ours", "ghost"):
        for asked in (
            two.orchestrator.prompts.find(key, GUEST),
            two.orchestrator.prompts.get(key, GUEST),
            two.orchestrator.pipeline.run(Request(f"{key}@1"), GUEST),
            two.orchestrator.pipeline.preview(Request(key), GUEST),
        ):
            with pytest.raises(NotFoundError, match=f"There is no prompt '{key}'"):
                await asked
    assert (await two.orchestrator.pipeline.run(Request("ours"), USER)).answer == "one two"


async def test_no_label_goes_to_a_version_that_is_hidden(two: Place) -> None:
    studio = two.orchestrator.studio
    await studio.save("ours", NEW | {"roles": ["user"], "name": "Hidden from raters"}, USER)
    await studio.save("ours", NEW | {"roles": ["user", "rater"]}, USER)
    rater = replace(RATER, rights=RATER.rights | {SAVE})
    assert (await studio.move_label("ours", "dev", 3, rater)).number == 3
    for number in (1, 2, 4):
        with pytest.raises(NotFoundError, match=f"no version {number}"):
            await studio.move_label("ours", "dev", number, rater)
    assert await studio.labels("ours", rater) == {"dev": 3}
    assert (await studio.move_label("ours", "dev", 2, USER)).number == 2


async def test_what_is_hidden_is_neither_changed_nor_deleted(two: Place) -> None:
    other = replace(principal("eve", "editor"), rights=USER.rights | {PUBLISH}, prompts=("*",))
    before = files(two)
    with pytest.raises(AccessError):
        await two.orchestrator.studio.save("ours", NEW, other)
    for expected in (None, [7]):
        with pytest.raises(NotFoundError):
            await two.orchestrator.studio.delete("ours", other, expected=expected)
    assert files(two) == before


async def test_an_unknown_role_is_refused(two: Place) -> None:
    with pytest.raises(UserError, match="'boss'") as caught:
        await two.orchestrator.studio.save("new", NEW | {"roles": ["user", "boss"]}, USER)
    assert caught.value.param == "roles"


async def test_nobody_hides_a_prompt_from_themselves(two: Place) -> None:
    with pytest.raises(UserError, match="could not see this prompt") as caught:
        await two.orchestrator.studio.save("ours", NEW | {"roles": ["rater"]}, USER)
    assert caught.value.param == "roles"
    await two.orchestrator.studio.save("ours", NEW | {"roles": ["rater"]}, ADMIN)
    assert await visible(two, RATER_WHO_SEES_NODES) == {"say", "ours"}
    assert await visible(two, USER) == {"say"}


RATER_WHO_SEES_NODES = replace(RATER, rights=RATER.rights | {"nodes"})
