"""The tab with the versions of a prompt: list, differences, labels, conflicts, and the ways in and out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest
import yaml

from herding.access.operations import PUBLISH, SAVE
from herding.api.middleware.bodies import MAX_BODY
from herding.errors import AccessError, ConflictError, NotFoundError, StoreError, UserError
from herding.ui.page import visible_tabs
from herding.ui.versions.bundle import MAX_BYTES
from herding.ui.versions.state import PAGE, VersionsState
from herding.ui.versions.tab import VersionsTab
from herding.values import Principal
from tests.support.herding import ADMIN, GUEST, Place
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop

USER = principal("ada", "user")


async def save(place: Place, count: int = 1, key: str = "say", **change: Any) -> None:
    """So many versions more, each with another default."""
    studio = place.orchestrator.studio
    for _ in range(count):
        newest = (await studio.versions(key, ADMIN, limit=1))[0].number
        data = dict((await studio.version(key, newest, ADMIN)).content)
        number = {"description": f"the {newest + 1}. text"}
        await studio.save(key, data | number | change, ADMIN, message=f"message {newest + 1}")


async def look(desktop: Desktop, key: str = "say", who: Principal | None = None) -> VersionsTab:
    """The tab is opened with a prompt."""
    await desktop.fire("versions", prompt=key, who=who)
    return desktop.page.versions


def numbers(desktop: Desktop) -> list[int]:
    """The versions of the page, as its list has them."""
    return [int(found) for found in re.findall(r'data-pick="(\d+)"', desktop.value(desktop.page.versions.list.list))]


def back(desktop: Desktop, label: str) -> str:
    """What the button says that takes back the last move of a label, as a picked item."""
    shown = desktop.value(desktop.page.versions.labels.list)
    return re.findall(rf'data-pick="({label}\.\d+)"', shown)[0]


async def test_it_opens_with_the_prompt_of_the_address_and_the_newest_version_against_prod(desktop: Desktop) -> None:
    await save(desktop.place, 3)
    await desktop.place.orchestrator.studio.move_label("say", "prod", 2, ADMIN)
    versions = await look(desktop)
    assert desktop.value(versions.picker) == "say"
    assert numbers(desktop) == [4, 3, 2, 1]
    assert "message 4" in desktop.value(versions.list.list)
    assert desktop.prop(versions.list.pager, "visible") is False
    assert "Version 4" in desktop.value(versions.head)
    assert (desktop.value(versions.diff.old), desktop.value(versions.diff.new)) == (2, 4)
    shown = desktop.value(versions.diff.diff)
    assert "Other keys" in shown
    assert "<del>2</del>" in shown
    assert "<ins>4</ins>" in shown
    assert desktop.prop(versions.timer, "active") is True


async def test_a_version_is_picked_with_what_is_different_from_the_one_before(desktop: Desktop) -> None:
    await save(desktop.place, 3)
    versions = await look(desktop)
    await desktop.fire("version_pick", "3")
    assert (desktop.value(versions.diff.old), desktop.value(versions.diff.new)) == (2, 3)
    assert "Version 3" in desktop.value(versions.head)
    assert "message 3" in desktop.value(versions.head)
    await desktop.fire("version_pick", "1")
    assert "First version" in desktop.value(versions.diff.diff)


async def test_any_two_versions_are_compared_and_the_same_ones_have_no_difference(desktop: Desktop) -> None:
    await save(desktop.place, 3)
    versions = await look(desktop)
    desktop.set(versions.diff.old, 1)
    desktop.set(versions.diff.new, 3)
    desktop.set(versions.diff.unified, True)
    await desktop.fire("version_diff")
    assert 'class="version-diff inline"' in desktop.value(versions.diff.diff)
    assert "the 3. text" in desktop.value(versions.diff.diff)
    desktop.set(versions.diff.old, 3)
    await desktop.fire("version_diff")
    assert "No difference" in desktop.value(versions.diff.diff)


async def test_many_versions_come_in_pages(desktop: Desktop) -> None:
    await save(desktop.place, 2 * PAGE)
    versions = await look(desktop)
    assert numbers(desktop) == list(range(21, 11, -1))
    assert "1–10 of 21" in desktop.value(versions.list.place)
    assert desktop.prop(versions.list.newer, "interactive") is False
    await desktop.fire("version_older")
    await desktop.fire("version_older")
    assert numbers(desktop) == [1]
    assert desktop.prop(versions.list.older, "interactive") is False
    await desktop.fire("version_older")
    assert numbers(desktop) == [1]
    await desktop.fire("version_newer")
    assert numbers(desktop) == list(range(11, 1, -1))
    assert len(desktop.prop(versions.diff.old, "choices")) == 21


async def test_the_whole_version_is_shown_and_has_a_link(desktop: Desktop) -> None:
    await save(desktop.place)
    versions = await look(desktop)
    assert desktop.value(versions.file.text) == ""
    assert 'href="api/v1/prompts/say/yaml?version=2" download="say@2.yaml"' in desktop.value(versions.file.download)
    await desktop.fire("version_whole")
    assert "description: the 2. text" in desktop.value(versions.file.text)
    assert desktop.value(versions.file.toggle) == "Hide full YAML (v2)"
    await desktop.fire("version_whole")
    assert desktop.value(versions.file.text) == ""


async def test_a_version_is_published_and_taken_back_in_one_click(desktop: Desktop) -> None:
    await save(desktop.place, 2)
    studio = desktop.place.orchestrator.studio
    await studio.move_label("say", "prod", 1, ADMIN)
    versions = await look(desktop)
    await desktop.fire("version_pick", "2")
    assert desktop.value(versions.labels.move) == "Publish v2"
    desktop.set(versions.labels.message, "it is better")
    await desktop.fire("version_move")
    assert await studio.labels("say", ADMIN) == {"prod": 2}
    assert "prod moved from v1 to v2" in desktop.value(versions.labels.note)
    assert desktop.value(versions.labels.message) == ""
    assert (desktop.value(versions.labels.move), desktop.prop(versions.labels.move, "interactive")) == (
        "v2 is prod",
        False,
    )
    shown = desktop.value(versions.labels.list)
    assert "Revert to v1" in shown
    assert "it is better" in shown
    await desktop.fire("version_take_back", back(desktop, "prod"))
    assert await studio.labels("say", ADMIN) == {"prod": 1}
    shown = desktop.value(versions.labels.list)
    assert "reverted" in shown
    assert "Remove label" in shown
    await desktop.fire("version_take_back", back(desktop, "prod"))
    assert await studio.labels("say", ADMIN) == {}
    assert "not set; calls use the latest version (v3)" in desktop.value(versions.labels.list)


async def test_another_label_is_set(desktop: Desktop) -> None:
    await save(desktop.place)
    versions = await look(desktop)
    desktop.set(versions.labels.label, "test")
    await desktop.fire("version_label")
    assert desktop.value(versions.labels.move) == "Set test to v2"
    await desktop.fire("version_move")
    assert await desktop.place.orchestrator.studio.labels("say", ADMIN) == {"test": 2}
    assert re.search(r"Version 2.*?>test<", desktop.value(versions.list.list))


async def test_a_move_that_somebody_else_made_is_not_taken_back(desktop: Desktop) -> None:
    await save(desktop.place, 2)
    studio = desktop.place.orchestrator.studio
    await studio.move_label("say", "prod", 1, ADMIN)
    await look(desktop)
    seen = back(desktop, "prod")
    await studio.move_label("say", "prod", 3, ADMIN)
    with pytest.raises(ConflictError):
        await desktop.fire("version_take_back", seen)
    assert await studio.labels("say", ADMIN) == {"prod": 3}


async def test_without_the_right_to_publish_only_other_labels_can_be_moved(desktop: Desktop) -> None:
    await save(desktop.place, 2)
    studio = desktop.place.orchestrator.studio
    await studio.move_label("say", "prod", 1, ADMIN)
    versions = await look(desktop, who=USER)
    assert PUBLISH not in USER.rights
    assert desktop.prop(versions.labels.label, "choices") == ["test", "dev"]
    assert 'data-pick="prod' not in desktop.value(versions.labels.list)
    await desktop.fire("version_move", who=USER)
    assert await studio.labels("say", ADMIN) == {"prod": 1, "test": 3}
    desktop.set(versions.labels.label, "prod")
    with pytest.raises(AccessError):
        await desktop.fire("version_move", who=USER)
    move = (await studio.label_moves("say", ADMIN, label="prod"))[0]
    with pytest.raises(AccessError):
        await desktop.fire("version_take_back", f"prod.{move.id}", who=USER)
    assert await studio.labels("say", ADMIN) == {"prod": 1, "test": 3}


async def test_a_reader_sees_no_buttons_that_change_anything(desktop: Desktop) -> None:
    reader = replace(USER, rights=USER.rights - {SAVE})
    await save(desktop.place, 2)
    await clash(desktop.place)
    versions = await look(desktop, who=reader)
    assert desktop.prop(versions.labels.form, "visible") is False
    assert "data-pick" not in desktop.value(versions.labels.list)
    assert desktop.prop(versions.conflict.box, "visible") is False
    assert "bundle-file" not in desktop.value(versions.bundle)
    assert 'href="api/v1/prompts.zip"' in desktop.value(versions.bundle)


async def clash(place: Place, key: str = "say") -> tuple[int, int]:
    """Another process saves a prompt while its file is edited; the numbers of both sides."""
    studio, path = place.orchestrator.studio, place.prompts / f"{key}.yaml"
    newest = (await studio.versions(key, ADMIN, limit=1))[0]
    content = json.dumps(json.loads(newest.content) | {"description": "saved there"})
    entry: Any = {"author": "ada", "message": "mine", "source": "api", "at": 1}
    await place.store.save_version(key, content, base=newest.number, **entry)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("description:")]
    path.write_text("\n".join([*lines, "description: written in the file", ""]))
    [found] = await studio.conflicts(ADMIN)
    return found.ours, found.theirs


@pytest.mark.parametrize("side", ["ours", "theirs"])
async def test_a_conflict_shows_both_sides_and_is_decided(desktop: Desktop, side: str) -> None:
    ours, theirs = await clash(desktop.place)
    versions = await look(desktop)
    assert desktop.prop(versions.conflict.box, "visible") is True
    head = desktop.value(versions.conflict.head)
    assert f"Saved: v{ours}" in head
    assert f"File: v{theirs}" in head
    diff = desktop.value(versions.conflict.diff)
    assert "saved" in diff
    assert "written" in diff
    await desktop.fire(f"conflict_{side}")
    assert desktop.prop(versions.conflict.box, "visible") is False
    assert "Conflict resolved: v" in desktop.value(versions.note)
    written = yaml.safe_load((desktop.place.prompts / "say.yaml").read_text())
    assert written["description"] == {"ours": "saved there", "theirs": "written in the file"}[side]
    assert await desktop.place.orchestrator.studio.conflicts(ADMIN) == ()


async def test_a_conflict_of_another_prompt_is_told_in_the_tab_and_in_the_overview(desktop: Desktop) -> None:
    await clash(desktop.place)
    versions = await look(desktop, "chat")
    assert "1 prompt has a conflict" in desktop.value(versions.note)
    assert 'href="?tab=versions&amp;prompt=say"' in desktop.value(versions.note)
    assert "1 prompt has a conflict" in await desktop.get("overview")
    assert "has a conflict" not in await desktop.get("overview", who=GUEST)


async def test_a_conflict_with_a_side_that_cannot_be_read_says_so(desktop: Desktop) -> None:
    """Another Herding saved it, which knows more than this one."""
    place, path = desktop.place, desktop.place.prompts / "say.yaml"
    entry: Any = {"author": "ada", "message": "", "source": "api", "at": 1}
    await place.store.save_version("say", json.dumps({"colour": "red"}), base=1, **entry)
    path.write_text(path.read_text() + "description: written in the file\n")
    versions = await look(desktop)
    assert "These versions can&#x27;t be shown" in desktop.value(versions.conflict.head)
    assert desktop.prop(versions.conflict.ours, "visible") is False
    assert numbers(desktop) == [3, 1]


async def test_a_conflict_that_changed_since_is_not_decided_blindly(desktop: Desktop) -> None:
    await clash(desktop.place)
    versions = await look(desktop)
    path = desktop.place.prompts / "say.yaml"
    path.write_text(path.read_text() + "tags: [again]\n")
    with pytest.raises(ConflictError):
        await desktop.fire("conflict_ours")
    await desktop.fire("version_watch")
    assert desktop.prop(versions.conflict.box, "visible") is True
    await desktop.fire("conflict_ours")
    assert desktop.prop(versions.conflict.box, "visible") is False


async def test_an_edit_of_the_file_appears_by_itself(desktop: Desktop) -> None:
    versions = await look(desktop)
    before = desktop.value(versions.list.list)
    await desktop.fire("version_watch")
    assert desktop.value(versions.list.list) is before
    path = desktop.place.prompts / "say.yaml"
    path.write_text(path.read_text() + "description: written in the file\n")
    await desktop.fire("version_watch")
    assert numbers(desktop) == [2, 1]


async def test_a_prompt_that_is_deleted_meanwhile_is_told(desktop: Desktop) -> None:
    versions = await look(desktop)
    await desktop.place.orchestrator.studio.delete("say", ADMIN)
    await desktop.fire("version_watch")
    assert "There is no prompt &#x27;say&#x27;" in desktop.value(versions.note)


async def test_a_version_that_is_not_in_the_file_is_told_with_the_ways_to_have_it(desktop: Desktop) -> None:
    (desktop.place.prompts / "both.yaml").write_text(
        "one: {name: One, target_models: [echo], prompt: a}\ntwo: {name: Two, target_models: [echo], prompt: b}\n"
    )
    desktop.place.library.refresh()
    await save(desktop.place, key="one")
    versions = await look(desktop, "one")
    assert "v2 is stored in the database only" in desktop.value(versions.note)
    assert "still contains v1" in desktop.value(versions.note)
    await look(desktop, "say")
    assert desktop.value(versions.note) == ""


async def test_the_tab_of_a_prompt_that_is_not_there_says_so(desktop: Desktop) -> None:
    versions = await look(desktop, "gone")
    assert "Prompt &#x27;gone&#x27; not found" in desktop.value(versions.note)
    assert desktop.value(versions.picker) == "chat"


async def test_without_prompts_there_is_only_the_way_to_import_some(desktop: Desktop) -> None:
    for path in desktop.place.prompts.glob("*.yaml"):
        path.unlink()
    versions = await look(desktop)
    assert "No prompts yet" in desktop.value(versions.note)
    assert desktop.prop(versions.body, "visible") is False
    assert "bundle-file" in desktop.value(versions.bundle)


async def test_a_bundle_brings_its_prompts_into_the_picker(desktop: Desktop) -> None:
    for path in desktop.place.prompts.glob("*.yaml"):
        path.unlink()
    versions = await look(desktop)
    desktop.place.write("fresh", "name: Fresh\ntarget_models: [echo]\nprompt: hello\n")
    await desktop.fire("version_imported")
    assert desktop.value(versions.picker) == "fresh"
    assert desktop.prop(versions.body, "visible") is True


async def test_the_texts_of_prompts_stay_texts(desktop: Desktop) -> None:
    await save(desktop.place, key="hostile", name=HOSTILE_TEXT + "2")
    versions = await look(desktop, "hostile")
    await desktop.fire("version_whole")
    for component in (versions.diff.diff, versions.list.list, versions.head, versions.file.text, versions.labels.list):
        shown = desktop.value(component)
        assert "<img" not in shown
        assert "<script" not in shown
        assert "${" not in shown
        assert "{{" not in shown
    assert "&lt;img" in desktop.value(versions.diff.diff)


async def test_the_ways_to_the_tab_and_out_of_it(desktop: Desktop) -> None:
    await save(desktop.place)
    assert 'href="?tab=versions&amp;prompt=say"' in await desktop.get("overview/prompts/say")
    assert "?tab=versions" not in await desktop.get("overview/prompts/say", who=GUEST)


@pytest.mark.parametrize("item", [None, "", "0", "-1", "x", "9" * 12, {"path": "/etc/passwd"}])
async def test_a_version_that_there_is_not_is_refused(desktop: Desktop, item: Any) -> None:
    await look(desktop)
    with pytest.raises((NotFoundError, UserError, gr.Error)):
        await desktop.fire("version_pick", item)


async def test_a_version_that_cannot_be_read_leaves_the_others_in_sight(desktop: Desktop) -> None:
    content = json.dumps({"name": "Odd", "target_models": ["echo"], "prompt": "x"})
    entry: Any = {"author": "", "message": "", "source": "ui", "at": 1}
    await desktop.place.store.save_version("odd", json.dumps({"colour": "red"}), **entry)
    await desktop.place.store.save_version("odd", content, **entry)
    await save(desktop.place)
    versions = await look(desktop, "odd")
    assert numbers(desktop) == [2]
    assert "another version of Herding" in desktop.value(versions.diff.diff)
    desktop.set(versions.diff.new, 1)
    await desktop.fire("version_diff")
    await desktop.fire("version_whole")
    assert "another version of Herding" in desktop.value(versions.file.text)
    with pytest.raises(StoreError):
        await desktop.fire("version_pick", "1")
    await desktop.fire("version_pick", "2")


@pytest.mark.parametrize("event", ["version_pick", "version_older", "version_diff", "version_whole", "version_move"])
async def test_a_page_of_an_earlier_start_is_told_to_open_the_tab_again(desktop: Desktop, event: str) -> None:
    versions = desktop.page.versions
    for part in (versions.diff.old, versions.diff.new):
        desktop.set(part, 1)
    desktop.set(versions.state, VersionsState())
    with pytest.raises((UserError, gr.Error)):
        await desktop.fire(event, "1")
    await desktop.fire("version_watch")


def test_who_writes_prompts_sees_the_tab() -> None:
    shown = {role: "versions" in visible_tabs(principal("x", role)) for role in ("guest", "rater", "user", "admin")}
    assert shown == {"guest": False, "rater": False, "user": True, "admin": True}


def test_a_zip_is_as_large_as_the_app_reads() -> None:
    assert MAX_BYTES == MAX_BODY
