"""The tab with the versions of a prompt: list, differences, labels, conflicts, and the ways in and out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from herding.access.operations import PUBLISH, SAVE
from herding.errors import AccessError, ConflictError, HerdingError, NotFoundError, StoreError, UserError
from herding.settings import Settings
from herding.ui.page import visible_tabs
from herding.ui.versions.bundle import MAX_BYTES
from herding.ui.versions.snapshot import PAGE
from tests.support.herding import ADMIN, GUEST, Place
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop, Piece

USER = principal("ada", "user")


async def save(place: Place, count: int = 1, key: str = "say", **change: Any) -> None:
    """So many versions more, each with another default."""
    studio = place.orchestrator.studio
    for _ in range(count):
        newest = (await studio.versions(key, ADMIN, limit=1))[0].number
        data = dict((await studio.version(key, newest, ADMIN)).content)
        number = {"description": f"the {newest + 1}. text"}
        await studio.save(key, data | number | change, ADMIN, message=f"message {newest + 1}")


def numbers(shown: Piece) -> list[int]:
    """The listed versions."""
    return [int(found) for found in re.findall(r'data-row="(\d+)"', shown.html)]


def compared(shown: Piece) -> tuple[int, ...]:
    """The versions of the diff."""
    selects = re.findall(r'<select [^>]*name="(?:old|new)".*?</select>', shown.html, re.S)
    return tuple(int(found) for select in selects for found in re.findall(r'value="(\d+)" selected', select))


def revert(shown: Piece, label: str) -> str:
    """What the button that reverts a label sends."""
    (found,) = re.findall(rf"&quot;({label}\.\d+)&quot;", shown.html)
    return str(found)


def stamp(shown: Piece) -> str:
    (found,) = re.findall(r"stamp=(\w+)", shown.html)
    return str(found)


async def watch(desktop: Desktop, key: str, seen: str) -> Piece:
    """What the page gets when it asks for changes; empty if there are none."""
    return await desktop.get("versions/watch", prompt=key, stamp=seen)


async def test_it_opens_with_the_prompt_of_the_address_and_the_newest_version_against_prod(desktop: Desktop) -> None:
    await save(desktop.place, 3)
    await desktop.place.orchestrator.studio.move_label("say", "prod", 2, ADMIN)
    shown = await desktop.get("versions", prompt="say")
    assert 'value="say" selected' in shown
    assert numbers(shown) == [4, 3, 2, 1]
    assert compared(shown) == (2, 4)
    for part in ("message 4", "<h2>Version 4</h2>", "Other keys", "<del>2</del>", "<ins>4</ins>"):
        assert part in shown, part
    assert shown.told["address"] == {"prompt": "say", "old": "", "new": ""}
    assert compared(await desktop.get("versions", prompt="say", old="1", new="3")) == (1, 3)


async def test_a_version_is_picked_with_what_is_different_from_the_one_before(desktop: Desktop) -> None:
    await save(desktop.place, 3)
    listed = await desktop.get("versions", prompt="say")
    assert "{&quot;new&quot;: &quot;3&quot;, &quot;old&quot;: &quot;2&quot;}" in (
        listed.html.replace("&#123;", "{").replace("&#125;", "}")
    )
    shown = await desktop.get("versions/body", prompt="say", shown="say", new=3, old=2)
    assert compared(shown) == (2, 3)
    assert "<h2>Version 3</h2>" in shown
    assert shown.told["address"] == {"prompt": "say", "old": "2", "new": "3"}
    assert re.search(r'aria-current="true">.*?data-row="3"', shown.html)
    assert "First version" in await desktop.get("versions/body", prompt="say", shown="say", new=1, old=1)


async def test_the_versions_of_another_prompt_are_its_own(desktop: Desktop) -> None:
    await save(desktop.place, 3)
    shown = await desktop.get("versions/body", prompt="chat", shown="say", old=3, new=4)
    assert compared(shown) == (1, 1)


async def test_any_two_versions_are_compared_and_the_same_ones_have_no_difference(desktop: Desktop) -> None:
    await save(desktop.place, 3)
    shown = await desktop.get("versions/body", prompt="say", shown="say", old=1, new=3, unified="on")
    assert 'class="version-diff inline"' in shown
    assert "the 3. text" in shown
    assert "No difference" in await desktop.get("versions/body", prompt="say", shown="say", old=3, new=3)


async def test_many_versions_are_listed_when_asked_for(desktop: Desktop) -> None:
    await save(desktop.place, 2 * PAGE)
    shown = await desktop.get("versions", prompt="say")
    assert numbers(shown) == list(range(21, 11, -1))
    assert "10 of 21" in shown
    shown = await desktop.get("versions/body", prompt="say", shown="say", limit=2 * PAGE)
    assert numbers(shown) == list(range(21, 1, -1))
    assert "Show 1 more" in shown
    assert len(re.findall(r'<option value="\d+"', shown.html)) == 42


async def test_the_whole_version_is_shown_and_has_a_link(desktop: Desktop) -> None:
    await save(desktop.place)
    shown = await desktop.get("versions", prompt="say")
    assert 'href="api/v1/prompts/say/yaml?version=2" download="say@2.yaml"' in shown
    assert 'hx-get="ui/versions/yaml?prompt=say&amp;new=2"' in shown
    assert "description: the 2. text" in await desktop.get("versions/yaml", prompt="say", new=2)


async def test_a_version_is_published_and_taken_back_in_one_click(desktop: Desktop) -> None:
    await save(desktop.place, 2)
    studio = desktop.place.orchestrator.studio
    await studio.move_label("say", "prod", 1, ADMIN)
    fields = {"prompt": "say", "shown": "say", "old": 1, "new": 2, "label": "prod"}
    assert ">Publish v2<" in await desktop.get("versions/body", **fields)
    shown = await desktop.post("versions/label", **fields, note=" it is better ")
    assert await studio.labels("say", ADMIN) == {"prod": 2}
    assert shown.told["notice"] == "prod moved from v1 to v2."
    assert shown.told["versions-focus"] == "version-set"
    assert re.search(r'id="version-move"[^>]* disabled=""[^>]*>v2 is prod<', shown.html) or re.search(
        r'disabled=""[^>]*id="version-move"', shown.html
    )
    for part in ("v2 is prod", "Revert to v1", "it is better"):
        assert part in shown, part
    assert 'value=" it is better "' not in shown
    shown = await desktop.post("versions/revert", **fields, move=revert(shown, "prod"))
    assert await studio.labels("say", ADMIN) == {"prod": 1}
    assert "reverted" in shown
    assert "Remove label" in shown
    shown = await desktop.post("versions/revert", **fields, move=revert(shown, "prod"))
    assert await studio.labels("say", ADMIN) == {}
    assert "not set; calls use the latest version (v3)" in shown


async def test_another_label_is_set(desktop: Desktop) -> None:
    await save(desktop.place)
    fields = {"prompt": "say", "shown": "say", "new": 2, "label": "test"}
    assert "Set test to v2" in await desktop.get("versions/body", **fields, note="kept")
    assert 'value="kept"' in await desktop.get("versions/body", **fields, note="kept")
    shown = await desktop.post("versions/label", **fields)
    assert await desktop.place.orchestrator.studio.labels("say", ADMIN) == {"test": 2}
    assert re.search(r'data-row="2".*?>test<', shown.html)


async def test_a_move_that_somebody_else_made_is_not_taken_back(desktop: Desktop) -> None:
    await save(desktop.place, 2)
    studio = desktop.place.orchestrator.studio
    await studio.move_label("say", "prod", 1, ADMIN)
    seen = revert(await desktop.get("versions", prompt="say"), "prod")
    await studio.move_label("say", "prod", 3, ADMIN)
    with pytest.raises(ConflictError):
        await desktop.post("versions/revert", prompt="say", move=seen)
    with pytest.raises(UserError):
        await desktop.post("versions/revert", prompt="say", move="nonsense")
    assert await studio.labels("say", ADMIN) == {"prod": 3}


async def test_without_the_right_to_publish_only_other_labels_can_be_moved(desktop: Desktop) -> None:
    await save(desktop.place, 2)
    studio = desktop.place.orchestrator.studio
    await studio.move_label("say", "prod", 1, ADMIN)
    shown = await desktop.get("versions", who=USER, prompt="say")
    assert PUBLISH not in USER.rights
    (labels,) = re.findall(r'<select [^>]*name="label".*?</select>', shown.html, re.S)
    assert re.findall(r'value="(\w+)"', labels) == ["test", "dev"]
    assert "&quot;prod." not in shown
    await desktop.post("versions/label", who=USER, prompt="say", new=3, label="test")
    assert await studio.labels("say", ADMIN) == {"prod": 1, "test": 3}
    with pytest.raises(AccessError):
        await desktop.post("versions/label", who=USER, prompt="say", new=3, label="prod")
    move = (await studio.label_moves("say", ADMIN, label="prod"))[0]
    with pytest.raises(AccessError):
        await desktop.post("versions/revert", who=USER, prompt="say", move=f"prod.{move.id}")
    assert await studio.labels("say", ADMIN) == {"prod": 1, "test": 3}


async def test_an_older_version_is_restored_as_the_latest(desktop: Desktop) -> None:
    await save(desktop.place, 2)
    assert "Restore v3" not in await desktop.get("versions/body", prompt="say", shown="say", new=3)
    assert "Restore v2" in await desktop.get("versions/body", prompt="say", shown="say", new=2)
    shown = await desktop.post("versions/restore", prompt="say", shown="say", new=2, old=1)
    assert shown.told["notice"] == "v2 is restored as v4."
    assert compared(shown) == (2, 4)
    assert "No difference" in shown
    studio = desktop.place.orchestrator.studio
    assert (await studio.version("say", 4, ADMIN)).content["description"] == "the 2. text"
    assert (await studio.version("say", 4, ADMIN)).about.message == "Restored v2"


async def test_a_reader_sees_no_buttons_that_change_anything(desktop: Desktop) -> None:
    reader = replace(USER, rights=USER.rights - {SAVE})
    await save(desktop.place, 2)
    await clash(desktop.place)
    shown = await desktop.get("versions", who=reader, prompt="say", new=2)
    for part in ("hx-post", "version-publish", 'id="conflict"', "bundle-file", "Restore"):
        assert part not in shown, part
    assert 'href="api/v1/prompts.zip"' in shown
    for action in ("label", "revert", "restore", "resolve"):
        with pytest.raises(AccessError):
            await desktop.post(f"versions/{action}", who=reader, prompt="say", new=2)


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


def seen_conflict(shown: Piece) -> str:
    return re.findall(r"&quot;seen&quot;: &quot;([\d-]+)&quot;", shown.html)[0]


@pytest.mark.parametrize("side", ["ours", "theirs"])
async def test_a_conflict_shows_both_sides_and_is_decided(desktop: Desktop, side: str) -> None:
    ours, theirs = await clash(desktop.place)
    shown = await desktop.get("versions", prompt="say")
    for part in (f"Saved: v{ours}", f"File: v{theirs}", f"Keep v{ours} (saved)", 'id="conflict-diff"'):
        assert part in shown, part
    shown = await desktop.post("versions/resolve", prompt="say", shown="say", side=side, seen=seen_conflict(shown))
    assert 'id="conflict"' not in shown
    assert "Conflict resolved: v" in shown
    written = yaml.safe_load((desktop.place.prompts / "say.yaml").read_text())
    assert written["description"] == {"ours": "saved there", "theirs": "written in the file"}[side]
    assert await desktop.place.orchestrator.studio.conflicts(ADMIN) == ()


async def test_a_conflict_of_another_prompt_is_told_in_the_tab_and_in_the_overview(desktop: Desktop) -> None:
    await clash(desktop.place)
    shown = await desktop.get("versions", prompt="chat")
    assert "1 prompt has a conflict" in shown
    assert 'href="?tab=versions&amp;prompt=say"' in shown
    assert "1 prompt has a conflict" in await desktop.get("overview")
    assert "has a conflict" not in await desktop.get("overview", who=GUEST)


async def test_a_conflict_with_a_side_that_cannot_be_read_says_so(desktop: Desktop) -> None:
    """Another Herding saved it, which knows more than this one."""
    place, path = desktop.place, desktop.place.prompts / "say.yaml"
    entry: Any = {"author": "ada", "message": "", "source": "api", "at": 1}
    await place.store.save_version("say", json.dumps({"colour": "red"}), base=1, **entry)
    path.write_text(path.read_text() + "description: written in the file\n")
    shown = await desktop.get("versions", prompt="say")
    assert "These versions can&#x27;t be shown" in shown
    assert "conflict-ours" not in shown
    assert numbers(shown) == [3, 1]


async def test_a_conflict_that_changed_since_is_not_decided_blindly(desktop: Desktop) -> None:
    await clash(desktop.place)
    shown = await desktop.get("versions", prompt="say")
    seen, path = seen_conflict(shown), desktop.place.prompts / "say.yaml"
    path.write_text(path.read_text() + "tags: [again]\n")
    with pytest.raises(ConflictError):
        await desktop.post("versions/resolve", prompt="say", side="ours", seen=seen)
    changed = await desktop.get("versions/watch", prompt="say", stamp=stamp(shown))
    await desktop.post("versions/resolve", prompt="say", side="ours", seen=seen_conflict(changed))
    assert await desktop.place.orchestrator.studio.conflicts(ADMIN) == ()


async def test_an_edit_of_the_file_appears_by_itself(desktop: Desktop) -> None:
    seen = stamp(await desktop.get("versions", prompt="say"))
    assert (await watch(desktop, "say", seen)).html == ""
    path = desktop.place.prompts / "say.yaml"
    path.write_text(path.read_text() + "description: written in the file\n")
    shown = await watch(desktop, "say", seen)
    assert numbers(shown) == [2, 1]
    assert (await watch(desktop, "say", stamp(shown))).html == ""


async def test_a_prompt_that_is_deleted_meanwhile_is_told(desktop: Desktop) -> None:
    seen = stamp(await desktop.get("versions", prompt="say"))
    await desktop.place.orchestrator.studio.delete("say", ADMIN)
    assert "There is no prompt &#x27;say&#x27;" in await watch(desktop, "say", seen)


async def test_a_version_that_is_not_in_the_file_is_told_with_the_ways_to_have_it(desktop: Desktop) -> None:
    (desktop.place.prompts / "both.yaml").write_text(
        "one: {name: One, target_models: [echo], prompt: a}\ntwo: {name: Two, target_models: [echo], prompt: b}\n"
    )
    desktop.place.library.refresh()
    await save(desktop.place, key="one")
    shown = await desktop.get("versions", prompt="one")
    assert "v2 is stored in the database only" in shown
    assert "still contains v1" in shown
    assert "in the database only" not in await desktop.get("versions", prompt="say")


async def test_the_tab_of_a_prompt_that_is_not_there_says_so(desktop: Desktop) -> None:
    shown = await desktop.get("versions", prompt="gone")
    assert "Prompt &#x27;gone&#x27; not found" in shown
    assert 'value="chat" selected' in shown


async def test_without_prompts_there_is_only_the_way_to_import_some(desktop: Desktop) -> None:
    for path in desktop.place.prompts.glob("*.yaml"):
        path.unlink()
    shown = await desktop.get("versions")
    assert "No prompts yet" in shown
    assert "versions-body" not in shown.html.replace("#versions-body", "")
    assert "bundle-file" in shown
    desktop.place.write("fresh", "name: Fresh\ntarget_models: [echo]\nprompt: hello\n")
    shown = await desktop.get("versions/top", prompt="")
    assert 'value="fresh" selected' in shown
    assert 'id="versions-body"' in shown


async def test_the_texts_of_prompts_stay_texts(desktop: Desktop) -> None:
    await save(desktop.place, key="hostile", name=HOSTILE_TEXT + "2")
    whole = await desktop.get("versions/yaml", prompt="hostile", new=2)
    for shown in (await desktop.get("versions", prompt="hostile"), whole):
        for part in ("<img", "<script", "${", "{{"):
            assert part not in shown, part
        assert "&lt;img" in shown


async def test_the_ways_to_the_tab_and_out_of_it(desktop: Desktop) -> None:
    await save(desktop.place)
    assert 'href="?tab=versions&amp;prompt=say"' in await desktop.get("overview/prompts/say")
    shown = await desktop.get("versions", prompt="say")
    assert 'href="?tab=engineer&amp;prompt=say"' in shown
    assert 'href="?tab=compare&amp;prompt=say&amp;old=1&amp;new=2"' in shown
    assert "?tab=versions" not in await desktop.get("overview/prompts/say", who=GUEST)


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 12, "7"])
async def test_a_version_that_there_is_not_is_refused(desktop: Desktop, number: str) -> None:
    with pytest.raises(NotFoundError):
        await desktop.get("versions/body", prompt="say", shown="say", new=number)
    shown = await desktop.get("versions", prompt="say", new=number)
    assert "Can&#x27;t show this version" in shown
    assert numbers(shown) == [1]


async def test_a_version_that_cannot_be_read_leaves_the_others_in_sight(desktop: Desktop) -> None:
    content = json.dumps({"name": "Odd", "target_models": ["echo"], "prompt": "x"})
    entry: Any = {"author": "", "message": "", "source": "ui", "at": 1}
    await desktop.place.store.save_version("odd", json.dumps({"colour": "red"}), **entry)
    await desktop.place.store.save_version("odd", content, **entry)
    await save(desktop.place)
    shown = await desktop.get("versions", prompt="odd")
    assert numbers(shown) == [2]
    assert "another version of Herding" in shown
    assert "another version of Herding" in await desktop.get("versions/yaml", prompt="odd", new=1)
    with pytest.raises(StoreError):
        await desktop.get("versions/body", prompt="odd", shown="odd", new=1)


@pytest.mark.parametrize("action", ["label", "revert", "restore", "resolve"])
async def test_an_action_without_a_prompt_changes_nothing(desktop: Desktop, action: str) -> None:
    with pytest.raises(HerdingError):
        await desktop.post(f"versions/{action}", label="test", move="prod.1")


def test_who_writes_prompts_sees_the_tab() -> None:
    shown = {role: "versions" in visible_tabs(principal("x", role)) for role in ("guest", "rater", "user", "admin")}
    assert shown == {"guest": False, "rater": False, "user": True, "admin": True}


def test_a_zip_is_as_large_as_the_app_reads() -> None:
    assert Settings.model_fields["max_body"].default == MAX_BYTES
