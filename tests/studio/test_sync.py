"""Files and database as equal editors: what was written anywhere is a version, and nothing is overwritten unseen."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from herding.errors import ConfigError, ConflictError, NotFoundError, StoreError, UserError, VersionConflictError
from herding.herd.fleet import Fleet
from herding.orchestrator import Orchestrator
from herding.prompts.library import Library
from herding.studio.sync import WATCH_SECONDS, SyncStep, next_step
from herding.values import FileState, PromptConflict, PromptState, Request
from tests.support.herding import ADMIN, GUEST, Place, herding
from tests.support.nodes import echo
from tests.support.people import ROLES, principal

USER = principal("ada", "user")
FILE = """\
# kept: of Hanna
name: Greet  # kept: the name

# kept: the models
target_models: [echo]
prompt: {text}  # kept: the text
# kept: the end
"""
COMMENTS = FILE.count("kept:")


def data(text: str, **more: Any) -> dict[str, Any]:
    return {"name": "Greet", "target_models": ["echo"], "prompt": text, **more}


def put(place: Place, text: str, key: str = "greet", head: str = "") -> None:
    """A file as an editor writes it; nobody looked at it yet."""
    path = place.prompts / f"{key}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(head + FILE.format(text=json.dumps(text)))
    beside.replace(path)


def text(place: Place, key: str = "greet") -> str:
    return (place.prompts / f"{key}.yaml").read_text()


async def look(place: Place) -> None:
    await place.orchestrator.load()


async def said(place: Place, reference: str = "greet") -> tuple[str, int]:
    """What a run of a prompt answers, and its version."""
    outcome = await place.orchestrator.pipeline.run(Request(reference), GUEST)
    return outcome.answer, outcome.version


async def contents(place: Place, key: str = "greet") -> dict[int, str]:
    """The text of every version."""
    return {found.number: json.loads(found.content)["prompt"] for found in await place.store.versions(key, limit=1000)}


# What is to be done


def state(newest: int = 2, agreed: int | None = 2, digest: str = "d", **more: Any) -> PromptState:
    file = None if agreed is None else FileState("k", agreed, digest, 1)
    return PromptState("k", newest, file=file, **more)


OPEN = PromptConflict("k", 1, 2, 3, "theirs", 1)


@pytest.mark.parametrize(
    ("digest", "known", "same", "step"),
    [
        ("d", state(), False, SyncStep.NOTHING),
        ("e", state(), False, SyncStep.IMPORT),
        ("d", state(newest=3), False, SyncStep.WRITE),
        ("e", state(newest=3), False, SyncStep.CONFLICT),
        ("e", state(newest=3), True, SyncStep.IMPORT),
        ("e", PromptState("k"), False, SyncStep.IMPORT),
        ("e", state(agreed=None), False, SyncStep.CONFLICT),
        ("e", state(agreed=None), True, SyncStep.IMPORT),
        ("d", state(retired=True), False, SyncStep.NOTHING),
        ("e", state(retired=True), False, SyncStep.IMPORT),
        ("d", state(agreed=None, retired=True), False, SyncStep.IMPORT),
        (None, state(), False, SyncStep.DELETE),
        (None, state(newest=3), False, SyncStep.WRITE),
        (None, state(agreed=None), False, SyncStep.WRITE),
        (None, state(retired=True), False, SyncStep.DELETE),
        (None, state(agreed=None, retired=True), False, SyncStep.NOTHING),
        (None, state(newest=3, conflict=OPEN), False, SyncStep.NOTHING),
        (None, PromptState("k"), False, SyncStep.NOTHING),
        ("theirs", state(newest=3, conflict=OPEN), True, SyncStep.NOTHING),
        ("other", state(newest=3, conflict=OPEN), False, SyncStep.CONFLICT),
        ("other", state(newest=3, conflict=OPEN), True, SyncStep.IMPORT),
    ],
)
def test_the_step(digest: str | None, known: PromptState, same: bool, step: SyncStep) -> None:
    assert next_step(digest, known, same=same) is step


# Files


async def test_an_edit_of_a_file_is_a_version(place: Place) -> None:
    put(place, "one")
    await look(place)
    put(place, "two")
    await look(place)
    assert await said(place) == ("two", 2)
    newest, first = await place.orchestrator.studio.versions("greet", GUEST)
    assert (newest.author, newest.source, first.number) == ("file", "file", 1)
    assert await said(place, "greet@1") == ("one", 1)


async def test_a_comment_is_no_version(place: Place) -> None:
    put(place, "one")
    await look(place)
    put(place, "one", head="# more\n")
    await look(place)
    assert await contents(place) == {1: "one"}


async def test_the_label_of_a_file_moves(place: Place) -> None:
    put(place, "one", head="label: prod\n")
    await look(place)
    put(place, "two", head="label: test\n")
    await look(place)
    assert await place.orchestrator.studio.labels("greet", GUEST) == {"prod": 1, "test": 2}
    assert await said(place) == ("one", 1)
    assert await said(place, "greet@test") == await said(place, "greet@newest") == ("two", 2)
    put(place, "two", head="label: prod\n")
    await look(place)
    assert await said(place) == ("two", 2)


async def test_a_broken_file_changes_nothing(place: Place) -> None:
    put(place, "one")
    await look(place)
    (place.prompts / "greet.yaml").write_text("name: [")
    await look(place)
    assert len(await place.orchestrator.prompts.broken(ADMIN)) == 1
    assert await said(place) == ("one", 1)
    with pytest.raises(ConflictError, match="Fix"):
        await place.orchestrator.studio.save("greet", data("two"), USER)
    put(place, "three")
    await look(place)
    assert await contents(place) == {1: "one", 2: "three"}


async def test_a_broken_file_of_several_prompts_deletes_none(tmp_path: Path) -> None:
    many = (
        "one:\n  name: A\n  target_models: [echo]\n  prompt: x\ntwo:\n  name: B\n  target_models: [echo]\n  prompt: y\n"
    )
    async with herding(tmp_path, echo()) as place:
        place.write("many", many)
        await look(place)
    (tmp_path / "prompts" / "many.yaml").write_text("one: [")
    async with herding(tmp_path, echo()) as place:
        await look(place)
        assert await said(place, "one") == ("x", 1)
        place.write("many", many.partition("two:")[0])
        await look(place)
        assert (await said(place, "one"))[0] == "x"
        with pytest.raises(NotFoundError):
            await said(place, "two")


async def test_a_file_that_goes_and_comes_back(place: Place) -> None:
    put(place, "one", head="label: prod\n")
    await look(place)
    (place.prompts / "greet.yaml").unlink()
    await look(place)
    with pytest.raises(NotFoundError):
        await said(place)
    assert (await place.store.prompt_states())["greet"].retired
    put(place, "one")
    await look(place)
    assert await said(place) == ("one", 1)
    (place.prompts / "greet.yaml").unlink()
    await look(place)
    put(place, "two")
    await look(place)
    assert await said(place, "greet@newest") == ("two", 2)


async def test_a_directory_that_is_away_deletes_nothing(place: Place) -> None:
    put(place, "one")
    await look(place)
    place.prompts.rename(place.prompts.with_name("elsewhere"))
    await look(place)
    assert await said(place) == ("one", 1)


@pytest.mark.slow
async def test_an_edit_is_a_version_at_the_next_look_which_is_within_a_second(place: Place) -> None:
    await look(place)
    watching = asyncio.create_task(place.orchestrator._sync.watch())
    put(place, "one")
    async with asyncio.timeout(60):
        while not await place.store.versions("greet", limit=1):  # noqa: ASYNC110 (nothing tells of a version)
            await asyncio.sleep(0.05)
    watching.cancel()
    assert WATCH_SECONDS <= 1


async def test_what_another_process_saves_is_served(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place, "one")
    await look(place)
    content = json.dumps(data("two"))
    await place.store.save_version("greet", content, author="x", message="", source="ui", at=1, base=1)
    monkeypatch.setattr("herding.studio.sync.WATCH_SECONDS", 0.01)
    watching = asyncio.create_task(place.orchestrator._sync.watch())
    async with asyncio.timeout(60):
        while "two" not in text(place):  # noqa: ASYNC110 (nothing tells of a file)
            await asyncio.sleep(0.02)
    watching.cancel()
    assert await said(place) == ("two", 2)
    assert text(place).count("kept:") == COMMENTS


@pytest.mark.slow
async def test_versions_of_before_keep_their_numbers(place: Place) -> None:
    """Their content has a label, the old name of the checks, and all that was left out in the file."""
    put(place, "one", head="label: prod\n")
    stored = json.dumps(data("one", label="prod", tags=[], chat=False, contract={}), sort_keys=True)
    await place.store.save_version("greet", stored, author="", message="", source="file", at=1)
    await place.store.record_files([FileState("greet", 1, "", 1)])
    await place.store.save_version("gone", stored, author="", message="", source="file", at=1)
    await place.store.record_files([FileState("gone", 1, "", 1)])
    await look(place)
    assert await said(place) == await said(place, "greet@prod") == ("one", 1)
    assert (await place.store.prompt_states())["gone"].retired
    saved = await place.orchestrator.studio.save("greet", data("one"), ADMIN)
    assert (saved.version, saved.changed) == (1, False)


# Saving


async def test_a_file_keeps_its_comments(place: Place) -> None:
    put(place, "one")
    await look(place)
    saved = await place.orchestrator.studio.save("greet", data("two", tags=["new"], label="test"), USER, base=1)
    assert (saved.version, saved.file) == (2, "written")
    more = "tags: [new]\nlabel: test\n# kept: the end\n"
    assert text(place) == FILE.format(text='"two"').replace("# kept: the end\n", more)
    await look(place)
    assert list(await contents(place)) == [2, 1]


async def test_a_save_on_an_older_version_is_refused(place: Place) -> None:
    studio = place.orchestrator.studio
    await studio.save("greet", data("one"), USER, base=0)
    await studio.save("greet", data("two"), USER, base=1)
    with pytest.raises(VersionConflictError):
        await studio.save("greet", data("three"), USER, base=1)
    put(place, "by hand")
    with pytest.raises(VersionConflictError):
        await studio.save("greet", data("four"), USER, base=2)
    assert "by hand" in text(place)


@pytest.mark.parametrize("key", ["greet", "new"])
async def test_a_save_that_dies_before_the_file_is_made_up_for(
    place: Place, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    put(place, "one")
    await look(place)

    def dies(*_: Any) -> None:
        raise KeyError("the process ends here")

    with monkeypatch.context() as broken:
        broken.setattr(place.library, "save", dies)
        with pytest.raises(KeyError):
            await place.orchestrator.studio.save(key, data("two"), USER)
    assert "one" in text(place)
    library = Library(place.prompts)
    parts: Any = {
        "library": library,
        "fleet": Fleet(place.herd),
        "store": place.store,
        "authenticator": place.authenticator,
    }
    parts["registry"] = place.orchestrator.registry
    again = Orchestrator(**parts, roles=ROLES)
    await again.load()
    assert "two" in text(place, key)
    assert await again.studio.conflicts(USER) == ()
    assert text(place).count("kept:") == COMMENTS
    assert (await again.pipeline.run(Request(key), GUEST)).answer == "two"


async def test_the_older_form_is_written_in_todays(place: Place) -> None:
    old = "# kept\nname: Old\nversion: 3\ntarget_models: [echo]  # kept\nvariables:\n  - a: x\nprompt: '{{a}}'\n"
    (place.prompts / "old.yaml").write_text(old + "param: {max_new_tokens: 9}\n")
    await look(place)
    content = (await place.orchestrator.prompts.get("old", ADMIN)).content
    await place.orchestrator.studio.save("old", {**content, "name": "Newer"}, USER)
    made = yaml.safe_load(text(place, "old"))
    assert text(place, "old").startswith("# kept\nname: Newer\ntarget_models: [echo]  # kept\nvariables:\n  a:\n")
    assert (made["parameters"]["max_tokens"], made["variables"]["a"]["default"]) == (9, "x")
    assert not made.keys() & {"version", "param"}


async def test_of_a_file_with_several_prompts_versions_are_kept(place: Place) -> None:
    many = (
        "one:\n  name: A\n  target_models: [echo]\n  prompt: x\ntwo:\n  name: B\n  target_models: [echo]\n  prompt: y\n"
    )
    place.write("many", many)
    await look(place)
    studio = place.orchestrator.studio
    assert (await studio.save("one", data("z"), USER)).file == "shared"
    assert await said(place, "one") == ("z", 2)
    assert text(place, "many") == many
    place.write("many", many.replace("prompt: y", "prompt: w"))
    await look(place)
    assert await said(place, "two") == ("w", 2)
    assert await studio.conflicts(USER) == ()


async def test_a_directory_that_takes_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place, "one")
    await look(place)

    def refuses(*_: Any) -> None:
        raise ConfigError("read-only")

    studio = place.orchestrator.studio
    monkeypatch.setattr(place.library, "save", refuses)
    assert (await studio.save("greet", data("two"), USER)).file == "unwritable"
    await studio.move_label("greet", "prod", 1, ADMIN)
    await look(place)
    assert await said(place) == ("one", 1)
    assert await said(place, "greet@2") == ("two", 2)
    assert yaml.safe_load(await studio.yaml("greet", 2, USER))["prompt"] == "two"
    put(place, "three")
    await look(place)
    (conflict,) = await studio.conflicts(USER)
    assert (conflict.base, conflict.ours, conflict.theirs) == (1, 2, 3)
    assert (await studio.resolve("greet", 2, USER)).file == "unwritable"
    await look(place)
    assert await studio.conflicts(USER) == ()
    assert await said(place, "greet@newest") == ("two", 4)


async def test_a_prompt_is_deleted_although_its_file_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any) -> None:
        raise ConfigError("read-only")

    async with herding(tmp_path, echo()) as place:
        put(place, "one")
        await look(place)
        monkeypatch.setattr(place.library, "delete", refuses)
        await place.orchestrator.studio.delete("greet", ADMIN)
        with pytest.raises(NotFoundError):
            await said(place)
        assert "one" in text(place)
    async with herding(tmp_path, echo()) as place:
        for _ in range(2):
            await look(place)
            with pytest.raises(NotFoundError):
                await said(place)
        (place.prompts / "greet.yaml").unlink()
        await look(place)
        put(place, "one")
        await look(place)
        assert await said(place) == ("one", 1)
        monkeypatch.setattr(place.library, "delete", refuses)
        await place.orchestrator.studio.delete("greet", ADMIN)
        put(place, "two")
        await look(place)
        assert await said(place) == ("two", 2)


@pytest.mark.parametrize("last", ["versions", "diff", "labels", "yaml", "resolve"])
async def test_keys_that_the_api_needs_are_refused(place: Place, last: str) -> None:
    for key in (f"a/{last}", f"a/{last}/prod"):
        with pytest.raises(UserError, match="Choose another prompt ID"):
            await place.orchestrator.studio.save(key, data("x"), ADMIN)


# Conflicts


async def conflict(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 is saved, and the file edited, both on version 1."""
    put(place, "one")
    await look(place)
    save = place.library.save

    def late(*args: Any) -> Any:
        put(place, "theirs")
        return save(*args)

    with monkeypatch.context() as slow:
        slow.setattr(place.library, "save", late)
        assert (await place.orchestrator.studio.save("greet", data("ours"), USER)).file == "conflict"


@pytest.mark.parametrize(("chosen", "newest", "words"), [(2, 4, "ours"), (3, 3, "theirs"), (1, 4, "one")])
async def test_a_conflict_lasts_until_somebody_decides(
    place: Place, monkeypatch: pytest.MonkeyPatch, chosen: int, newest: int, words: str
) -> None:
    await conflict(place, monkeypatch)
    studio = place.orchestrator.studio
    for _ in range(2):
        await look(place)
        (found,) = await studio.conflicts(USER)
        assert (found.key, found.base, found.ours, found.theirs) == ("greet", 1, 2, 3)
    assert await contents(place) == {1: "one", 2: "ours", 3: "theirs"}
    assert "theirs" in text(place)
    assert (await studio.resolve("greet", chosen, USER)).version == newest
    await look(place)
    assert await studio.conflicts(USER) == ()
    assert await said(place) == (words, newest)
    assert words in text(place)
    assert text(place).count("kept:") == COMMENTS
    with pytest.raises(NotFoundError, match="no conflict"):
        await studio.resolve("greet", chosen, USER)


async def test_an_edit_during_a_conflict_is_kept_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await conflict(place, monkeypatch)
    studio = place.orchestrator.studio
    assert (await studio.save("greet", data("mine"), USER)).file == "conflict"
    (found,) = await studio.conflicts(USER)
    assert (found.ours, found.theirs) == (4, 3)
    put(place, "again")
    await look(place)
    assert await contents(place) == {1: "one", 2: "ours", 3: "theirs", 4: "mine", 5: "again"}
    (found,) = await studio.conflicts(USER)
    assert (found.ours, found.theirs) == (4, 5)
    await studio.resolve("greet", 4, USER)
    assert await said(place) == ("mine", 6)


async def test_a_conflict_outlives_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with herding(tmp_path, echo()) as place:
        await conflict(place, monkeypatch)
        await look(place)
    async with herding(tmp_path, echo()) as place:
        assert len(await place.orchestrator.studio.conflicts(USER)) == 1


# Labels


async def test_labels_are_moved_and_taken_back(place: Place) -> None:
    studio = place.orchestrator.studio
    put(place, "one", head="label: prod\n")
    await look(place)
    await studio.save("greet", data("two"), USER)
    assert "label" not in text(place)
    assert await said(place) == ("one", 1)
    await studio.move_label("greet", "prod", 2, ADMIN, "tested")
    assert await said(place) == ("two", 2)
    assert "\nlabel: prod\n" in text(place)
    await studio.undo_label_move("greet", "prod", ADMIN)
    assert await said(place) == ("one", 1)
    assert "label" not in text(place)
    await look(place)
    assert await studio.labels("greet", USER) == {"prod": 1}
    assert list(await contents(place)) == [2, 1]
    moves = await studio.label_moves("greet", USER)
    assert [(move.number, move.author) for move in moves] == [(1, "admin"), (2, "admin"), (1, "file")]


async def test_a_label_of_ones_own(place: Place) -> None:
    studio = place.orchestrator.studio
    await studio.save("greet", data("one"), USER)
    await studio.save("greet", data("two"), USER)
    await studio.move_label("greet", "summer", 1, USER)
    assert await said(place, "greet@summer") == ("one", 1)
    await studio.move_label("greet", "summer", None, USER)
    with pytest.raises(NotFoundError, match="versions 1 to 2"):
        await said(place, "greet@summer")
    for label, number in (("newest", 1), ("Two Words", 1), ("x", 3)):
        with pytest.raises(UserError, match=r"newest|label|no version"):
            await studio.move_label("greet", label, number, USER)


# Serving


async def test_what_runs_ends_on_its_version(place: Place) -> None:
    studio = place.orchestrator.studio
    await studio.save("greet", data("one " * 200), USER)
    begun = asyncio.Event()

    async def run() -> tuple[str, int]:
        streamed, number = "", 0
        async for event in place.orchestrator.pipeline.stream(Request("greet"), ADMIN):
            begun.set()
            streamed += getattr(event, "text", "")
            if outcome := getattr(event, "outcome", None):
                number = outcome.version
            await asyncio.sleep(0)
        return streamed, number

    running = [asyncio.create_task(run()) for _ in range(20)]
    await begun.wait()
    await studio.save("greet", data("two " * 200), USER)
    assert await said(place) == ("two " * 200, 2)
    answers = await asyncio.gather(*running)
    assert set(answers) <= {("one " * 200, 1), ("two " * 200, 2)}
    assert answers[0] == ("one " * 200, 1)
    assert {(row.version, row.answer) for row in await place.rows()} == {
        ("one " * 200, 1)[::-1],
        ("two " * 200, 2)[::-1],
    }


async def test_an_edited_template_is_based_on_the_version_that_is_meant(place: Place) -> None:
    studio = place.orchestrator.studio
    await studio.save("greet", data("one", parameters={"max_tokens": 1}), USER)
    await studio.save("greet", data("two"), USER)
    outcome = await place.orchestrator.pipeline.run(Request("greet@1", template="prompt: a b c"), ADMIN)
    assert (outcome.version, outcome.edited, outcome.parameters.max_tokens) == (1, True, 1)


@pytest.mark.slow
async def test_many_old_versions(place: Place) -> None:
    studio = place.orchestrator.studio
    for number in range(1, 101):
        await studio.save("greet", data(f"text {number}"), USER)
    for number in (*range(1, 101), 1, 100):
        assert await said(place, f"greet@{number}") == (f"text {number}", number)
    assert len(place.orchestrator._version_cache._older) <= 64


async def test_a_version_of_another_herding_is_told(place: Place) -> None:
    content = json.dumps(data("one", colour="red"))
    await place.store.save_version("odd", content, author="", message="", source="ui", at=1)
    await place.store.save_version("odd", json.dumps(data("two")), author="", message="", source="ui", at=1)
    await look(place)
    assert await said(place, "odd") == ("two", 2)
    with pytest.raises(StoreError, match="another version of Herding"):
        await said(place, "odd@1")
    assert [found.number for found in await place.orchestrator.studio.versions("odd", ADMIN)] == [2]


async def test_who_may_not_see_a_version(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        studio = place.orchestrator.studio
        await studio.save("greet", data("one", label="prod"), ADMIN)
        await studio.save("greet", data("two", roles=["user"]), ADMIN)
        assert await said(place) == ("one", 1)
        with pytest.raises(NotFoundError):
            await said(place, "greet@2")
        assert [found.number for found in await studio.versions("greet", GUEST)] == [1]
        for asked in (
            studio.version("greet", 2, GUEST),
            studio.diff("greet", 1, 2, GUEST),
            studio.yaml("greet", 2, GUEST),
        ):
            with pytest.raises(NotFoundError):
                await asked
        assert b"two" not in await studio.export(GUEST)
        await studio.move_label("greet", "prod", 2, ADMIN)
        with pytest.raises(NotFoundError):
            await said(place, "greet@1")


# Everything at once

EDITS = st.lists(st.sampled_from(["file", "save", "both", "look", "comment", "resolve"]), min_size=12, max_size=25)


async def alternate(place: Place, key: str, steps: list[str], chance: random.Random) -> int:
    """Edits by file and by save; gives how many were at the same moment. Nothing may be lost, whatever the order."""
    studio, written, both = place.orchestrator.studio, [f"{key} 0"], 0
    put(place, written[0], key)
    await look(place)
    for number, step in enumerate(steps, 1):
        words, other = f"{key} {number}", f"{key} {number} by hand"
        if step == "file":
            put(place, words, key)
            await look(place)
            written.append(words)
        elif step == "save":
            await studio.save(key, data(words), USER)
            written.append(words)
        elif step == "both":
            was = {found.key for found in await studio.conflicts(USER)}
            save = place.library.save
            place.library.save = lambda *args, s=save, o=other: (put(place, o, key), s(*args))[1]  # type: ignore
            try:
                saved = await studio.save(key, data(words), USER)
            finally:
                place.library.save = save  # type: ignore[method-assign]
            if key in was:
                put(place, other, key)
            await look(place)
            assert saved.file == "conflict"
            assert key in {found.key for found in await studio.conflicts(USER)}
            written += [words, other]
            both += 1
        elif step == "comment":
            path = place.prompts / f"{key}.yaml"
            path.write_text(path.read_text() + f"# {number}\n")
        elif step == "resolve" and any(found.key == key for found in await studio.conflicts(USER)):
            await studio.resolve(key, chance.randint(1, len(written)), USER)
            assert not [found for found in await studio.conflicts(USER) if found.key == key]
        else:
            await look(place)
        made = text(place, key)
        assert yaml.safe_load(made)["prompt"]
        assert made.count("kept:") == COMMENTS
    assert set(written) <= set((await contents(place, key)).values())
    return both


@pytest.mark.slow
@settings(max_examples=15)
@given(steps=EDITS, key=st.uuids().map(lambda found: f"k{found.hex}"))
async def test_nothing_is_lost_in_any_order(place: Place, steps: list[str], key: str) -> None:
    await alternate(place, key, steps, random.Random(7))


@pytest.mark.slow
async def test_two_hundred_edits(place: Place) -> None:
    chance = random.Random(7)
    steps = [chance.choice(["file", "save", "both", "resolve", "comment"]) for _ in range(200)]
    assert await alternate(place, "greet", steps, chance) > 20
    assert len(await contents(place)) > 100


async def test_many_edit_at_once(place: Place) -> None:
    studio = place.orchestrator.studio
    put(place, "one")
    await look(place)

    async def edit(number: int) -> None:
        await asyncio.sleep(number / 1000)
        put(place, f"by hand {number}")
        await look(place)

    saves = [studio.save("greet", data(f"saved {number}"), USER) for number in range(20)]
    await asyncio.gather(*saves, *(edit(number) for number in range(20)))
    await look(place)
    kept = set((await contents(place)).values())
    assert {f"saved {number}" for number in range(20)} <= kept
    newest = (await place.store.versions("greet", limit=1))[0]
    in_file = yaml.safe_load(text(place))["prompt"]
    open_ones = await studio.conflicts(USER)
    assert in_file == json.loads(newest.content)["prompt"] or open_ones


@pytest.mark.slow
async def test_a_thousand_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with herding(tmp_path, echo()) as place:
        for number in range(1000):
            (place.prompts / f"p{number}.yaml").write_text(FILE.format(text=f'"text {number}"'))
        begun = time.perf_counter()
        await look(place)
        first = time.perf_counter() - begun
    begun = time.perf_counter()
    async with herding(tmp_path, echo()) as place:
        await look(place)
        later = time.perf_counter() - begun
        assert await said(place, "p999") == ("text 999", 1)
        assert len(await place.orchestrator.prompts.list_all(GUEST)) == 1001
    with capsys.disabled():
        print(f"\n1,000 prompts: first start {first:.2f} s, later starts {later:.2f} s (files read included)")  # noqa: T201


async def test_a_store_that_takes_nothing_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> Any:
        raise StoreError("The disk is full.")

    put(place, "one")
    with monkeypatch.context() as broken:
        broken.setattr(place.store, "save_versions", full)
        await look(place)
        with pytest.raises(StoreError):
            await said(place)
    assert await said(place) == ("one", 1)


# Other directories


async def look_anew(*places: Place) -> None:
    """Compare the files of apps with the database, as each does every few seconds, until nothing is left to do."""
    for _ in range(2):
        for place in places:
            place.orchestrator._sync._state.invalidate()
            await look(place)


@pytest.mark.one_database
async def test_files_of_a_new_container_undo_no_edit(tmp_path: Path) -> None:
    """The database outlives the directory of prompts, as on a Space with persistent storage."""
    async with herding(tmp_path, echo()) as place:
        for key in ("greet", "gone", "deployed", "both"):
            put(place, "shipped", key)
        await look(place)
        await place.orchestrator.studio.save("greet", data("edited"), USER)
        await place.orchestrator.studio.save("both", data("edited"), USER)
        await place.orchestrator.studio.delete("gone", ADMIN)
    shutil.rmtree(place.prompts)
    async with herding(tmp_path, echo()) as place:
        put(place, "shipped")
        put(place, "shipped", "gone")
        for key in ("deployed", "both"):
            put(place, "shipped later", key)
        await look_anew(place)
        assert await said(place) == ("edited", 2)
        assert "edited" in text(place)
        with pytest.raises(NotFoundError):
            await said(place, "gone")
        assert await said(place, "deployed") == ("shipped later", 2)
        assert [found.key for found in await place.orchestrator.studio.conflicts(USER)] == ["both"]
        put(place, "shipped")  # an edit, since it is not new any more
        await look_anew(place)
        assert await said(place) == ("shipped", 3)


@pytest.mark.one_database
async def test_an_empty_directory_deletes_nothing(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        put(place, "one")
        await look(place)
    shutil.rmtree(place.prompts)
    async with herding(tmp_path, echo()) as place:
        await look_anew(place)
        assert await said(place) == ("one", 1)
        assert "one" in text(place)


@pytest.mark.postgres
async def test_apps_with_directories_of_their_own_agree(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.herding.database_url", lambda _: postgres_url)
    async with herding(tmp_path / "a", echo()) as a, herding(tmp_path / "b", echo()) as b:
        put(a, "one")
        put(b, "one")
        await look_anew(a, b)
        await a.orchestrator.studio.save("greet", data("two"), USER)
        await look_anew(b, a)
        assert await said(a) == await said(b) == ("two", 2)
        assert "two" in text(b)
        put(b, "three")
        await look_anew(b, a)
        assert await said(a) == await said(b) == ("three", 3)
        assert "three" in text(a)
        put(a, "of a")
        await b.orchestrator.studio.save("greet", data("four"), USER)
        await look_anew(a, b)
        (conflict,) = await b.orchestrator.studio.conflicts(USER)
        assert (conflict.ours, conflict.theirs) == (4, 5)
        await b.orchestrator.studio.resolve("greet", 4, USER)
        await look_anew(a, b)
        assert await said(a) == await said(b) == ("four", 6)
        assert "four" in text(a)
        await a.orchestrator.studio.delete("greet", ADMIN)
        await look_anew(b, a)
        for place in (a, b):
            with pytest.raises(NotFoundError):
                await said(place)
