"""Drafts of the Prompt engineer: kept while one types, undone, saved, published, in conflict, discarded."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from herding.access.operations import SAVE
from herding.errors import AccessError, NotFoundError, StoreError, UserError
from herding.prompts.edits import Edits
from herding.values import SPECIALIST, Parameters, Request
from tests.support.herding import ADMIN, GUEST, herding
from tests.support.nodes import echo
from tests.support.people import principal
from tests.ui.conftest import Desktop, layout
from tests.ui.conftest import opened as started
from tests.ui.engineer.pages import Form, content, kept, opened

ADA = principal("ada", "admin")


async def test_what_is_typed_is_kept_and_comes_back(desktop: Desktop) -> None:
    form = await opened(desktop)
    assert re.search(r'<button [^>]*id="save-version"[^>]* disabled=""', form.html)  # there is nothing to save yet
    assert (await form.edit())["enable"] == {"save-version": False}
    await form.edit(var__text="my words", messages__0__content="mine {{text}}", param__temperature="1.5")
    assert form.answer["enable"] == {"save-version": True}
    assert "Draft saved" in form.answer["pieces"]["draft-state"]
    again = await opened(desktop)
    assert again["var.text"] == "my words"
    assert again["messages.0.content"] == "mine {{text}}"
    assert again["param.temperature"] == "1.5"
    assert "Unsaved changes" in again


async def test_it_comes_back_after_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path) as desktop:
        await (await opened(desktop)).edit(var__text="my words")
    async with started(tmp_path) as desktop:
        assert (await opened(desktop))["var.text"] == "my words"


async def test_a_page_from_before_a_restart_goes_on(tmp_path: Path) -> None:
    async with started(tmp_path) as desktop:
        form = await opened(desktop)
    async with started(tmp_path) as desktop:
        form.desktop = desktop
        await form.edit(var__text="typed meanwhile")
        assert (await opened(desktop))["var.text"] == "typed meanwhile"


async def test_nobody_else_sees_a_draft(desktop: Desktop) -> None:
    await (await opened(desktop)).edit(messages__0__content="mine {{text}}")
    assert "mine {{text}}" not in await desktop.get("engineer", prompt="say", who=ADA)
    assert "mine {{text}}" not in await desktop.get("engineer", prompt="say", who=GUEST)


async def test_a_database_that_refuses_is_told(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    form = await opened(desktop)

    async def refuse(*_: object, **__: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(desktop.place.orchestrator.drafts, "store", refuse)
    answer = await form.edit(var__text="my words")
    assert "Draft not saved" in answer["pieces"]["draft-state"]
    assert "The disk is full." in answer["pieces"]["draft-state"]


async def test_steps_are_undone_and_done_again(desktop: Desktop) -> None:
    form = await opened(desktop)
    saved = form["messages.0.content"]
    long = "and much more than forty characters so that it is a step of its own"
    await form.edit(messages__0__content="one")
    await form.edit(messages__0__content=f"two {long}")
    await form.press("undo")
    first = form["messages.0.content"]
    assert first in ("one", saved)
    while form["messages.0.content"] != saved:
        await form.press("undo")
    assert (await kept(desktop)).empty
    while form.fields.get("redo"):
        await form.press("redo")
    assert form["messages.0.content"] == f"two {long}"
    assert (await opened(desktop))["messages.0.content"] == f"two {long}"


async def test_a_draft_can_be_reverted_reset_and_discarded(desktop: Desktop) -> None:
    form = await opened(desktop)
    text, value = form["messages.0.content"], form["var.text"]
    await form.edit(messages__0__content="mine", var__text="my words")
    await form.press("revert")
    assert (form["messages.0.content"], form["var.text"]) == (text, "my words")
    await form.press("reset")
    assert form["var.text"] == value
    await form.edit(messages__0__content="mine")
    await form.press("discard")
    assert form["messages.0.content"] == text
    assert (await kept(desktop)).empty


async def test_who_else_edits_is_named(desktop: Desktop) -> None:
    await (await opened(desktop, who=ADA)).edit(messages__0__content="hers {{text}}")
    form = await opened(desktop)
    assert "is editing this prompt" in form
    assert "<strong>ada</strong>" in form


async def test_a_draft_is_saved_as_a_version_and_published(desktop: Desktop) -> None:
    form = await opened(desktop)
    await form.edit(messages__0__content="mine {{text}}", var__text="my words")
    await form.press("save", note="a better text")
    assert "Saved v2" in form
    assert 'href="?tab=versions&amp;prompt=say&amp;old=1&amp;new=2"' in form
    assert "Publish to prod" in form
    version = await desktop.place.orchestrator.studio.version("say", 2, ADMIN)
    assert (version.about.author, version.about.message) == (ADMIN.id, "a better text")
    assert (await kept(desktop)) == Edits({"text": "my words"})
    line = await desktop.post("engineer/publish", key="say", version="2")
    assert "v2 is live" in line
    assert (await desktop.place.orchestrator.studio.labels("say", ADMIN))["prod"] == 2


async def test_values_become_defaults_only_on_wish(desktop: Desktop) -> None:
    form = await opened(desktop)
    await form.edit(messages__0__content="mine {{text}}", var__text="my words")
    await form.press("save", inputs="on")
    assert (await content(desktop))["variables"]["text"]["default"] == "my words"
    assert (await kept(desktop)).empty


async def test_what_is_wrong_is_not_saved_and_stays(desktop: Desktop) -> None:
    form = await opened(desktop)
    await form.edit(param__temperature="hot")
    await form.press("save")
    assert "Not saved" in form
    assert form["param.temperature"] == "hot"
    assert (await desktop.place.orchestrator.prompts.get("say", ADMIN)).newest == 1


async def conflicting(desktop: Desktop) -> Form:
    """A form whose save is a conflict with a version of somebody else."""
    form = await opened(desktop)
    await form.edit(messages__0__content="mine {{text}}")
    hers = await opened(desktop, who=ADA)
    await hers.edit(messages__0__content="hers {{text}}", param__temperature="0.4")
    await hers.press("save", note="better so")
    await form.press("save")
    return form


async def test_a_conflict_with_another_tab_of_the_same_user_says_so(desktop: Desktop) -> None:
    first, second = await opened(desktop), await opened(desktop)
    await second.edit(messages__0__content="second {{text}}")
    await second.press("save")
    await first.edit(messages__0__content="first {{text}}")
    await first.press("save")
    assert "You saved v2 at" in first
    assert first["messages.0.content"] == "first {{text}}"


async def test_the_second_save_is_a_conflict_that_loses_nothing(desktop: Desktop) -> None:
    form = await conflicting(desktop)
    for part in ("has a newer version, v2", "<strong>ada</strong>", "better so", "Your changes, compared with v2"):
        assert part in form, part
    assert form["messages.0.content"] == "mine {{text}}"
    await form.press("save", over="2")
    assert "Saved v3" in form
    saved = await content(desktop)
    assert saved["messages"][0]["content"] == "mine {{text}}"
    assert saved["parameters"]["temperature"] == 0.4


async def test_theirs_is_taken_and_mine_comes_back(desktop: Desktop) -> None:
    form = await conflicting(desktop)
    await form.press("theirs")
    assert (form["messages.0.content"], form["base_version"]) == ("hers {{text}}", "2")
    await form.press("redo")
    assert form["messages.0.content"] == "mine {{text}}"
    await form.press("save")
    assert "Saved v3" in form


async def test_who_may_not_save_is_refused(desktop: Desktop) -> None:
    writer = principal("tess", "user")
    tester = replace(writer, rights=writer.rights - {SAVE})
    form = await opened(desktop, who=tester)
    await form.edit(messages__0__content="mine {{text}}")
    with pytest.raises(AccessError):
        await form.press("save")


async def test_a_new_prompt_is_created_kept_and_saved(desktop: Desktop) -> None:
    created = await desktop.post("engineer/new", new_key="mail/short", new_name="Short mail", starter="classify")
    assert created.told["open-tab"]["fields"]["prompt"] == "mail/short"
    form = await opened(desktop, "mail/short")
    assert "Not saved" in form
    assert form["about.name"] == "Short mail"
    assert form["var.text"] == "The delivery was two days late."
    await form.edit(messages__0__content="Judge {{text}} for {{who}}")
    assert "mail/short" in await desktop.get("engineer/prompts", q="mail")
    await form.press("save")
    assert "Saved v1" in form
    assert (desktop.place.prompts / "mail" / "short.yaml").exists()


async def test_a_new_prompt_leaves_out_the_bundled_specialist_and_ends(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("local", SPECIALIST, "echo")) as place:
        built = layout(place.orchestrator)
        desktop = Desktop(place, built.page, built.demo)
        place.write("a", f"name: A\ntarget_models: [{SPECIALIST}, echo]\nvariables: {{}}\nprompt: hi\n")
        await desktop.post("engineer/new", new_key="fresh", starter="empty")
        form = await opened(desktop, "fresh")
        await form.press("save")
        saved = await place.orchestrator.prompts.get("fresh", ADMIN)
        assert saved.target_models == ("echo",)
        assert saved.content["parameters"] == {"max_tokens": 500}


@pytest.mark.parametrize("starter", ["empty", "chat", "classify", "extract", "summarize", "raw"])
async def test_every_template_is_a_prompt_that_can_be_saved(desktop: Desktop, starter: str) -> None:
    await desktop.post("engineer/new", new_key="fresh", starter=starter)
    form = await opened(desktop, "fresh")
    await form.press("save")
    assert "Saved v1" in form


@pytest.mark.parametrize("key", ["", "a b", "../up", "say", "SAY", "x/versions"])
async def test_an_id_that_cannot_be_is_told_at_its_field(desktop: Desktop, key: str) -> None:
    piece = await desktop.post("engineer/new", new_key=key)
    assert 'role="alert"' in piece
    assert f'value="{key}"' in piece
    assert "open-tab" not in piece.told


async def test_a_new_prompt_that_is_discarded_is_gone(desktop: Desktop) -> None:
    await desktop.post("engineer/new", new_key="fresh")
    form = await opened(desktop, "fresh")
    piece = await form.press("discard")
    assert piece.told["open-tab"]["tab"] == "engineer"
    assert "not found" in await desktop.get("engineer", prompt="fresh")


async def test_a_prompt_is_deleted_unless_somebody_changed_it(desktop: Desktop) -> None:
    form = await opened(desktop)
    hers = await opened(desktop, who=ADA)
    await hers.edit(messages__0__content="hers {{text}}")
    await hers.press("save")
    with pytest.raises(UserError, match="v2"):
        await form.press("delete")
    form = await opened(desktop)
    await form.press("delete")
    with pytest.raises(NotFoundError):
        await desktop.place.orchestrator.prompts.get("say", ADMIN)


async def test_a_writer_edits_the_newest_version_and_others_the_live_one(desktop: Desktop) -> None:
    await desktop.place.orchestrator.studio.move_label("say", "prod", 1, ADMIN)
    form = await opened(desktop)
    await form.edit(messages__0__content="newer {{text}}")
    await form.press("save")
    assert (await opened(desktop))["messages.0.content"] == "newer {{text}}"
    assert "Editing v2 · v1 is live" in await desktop.get("engineer", prompt="say")
    assert "newer" not in await desktop.get("engineer", prompt="say", who=GUEST)


async def test_nothing_is_stored_of_who_opted_out_and_the_page_says_so(desktop: Desktop) -> None:
    private = replace(ADMIN, id="private", opt_out=True)
    form = await opened(desktop, who=private)
    assert "Drafts are not stored" in form
    answer = await form.edit(messages__0__content="mine {{text}}", var__text="secret")
    assert "Drafts are not stored" in answer["pieces"]["draft-state"]
    assert (await kept(desktop, who=private)).empty
    await form.press("save")
    assert "Saved v2" in form
    assert form["var.text"] == "secret"


async def test_a_request_of_the_history_opens_with_all_that_it_ran_with(desktop: Desktop) -> None:
    request = Request("varied", {"error": 2500, "tone": "stern"}, parameters=Parameters(temperature=1.0))
    row = await desktop.place.orchestrator.pipeline.run(request, ADMIN)
    form = await opened(desktop, "", request=row.request_id)
    assert (form["key"], form["var.error"], form["var.tone"]) == ("varied", "2500", "stern")
    assert form["param.temperature"] == "1.0"
    assert "Opened from History" in form


async def test_a_request_of_an_older_version_opens_with_that_version(desktop: Desktop) -> None:
    row = await desktop.place.orchestrator.pipeline.run(
        Request("say", {"text": "hi"}, parameters=Parameters(temperature=0.9)), ADMIN
    )
    before = await content(desktop)
    form = await opened(desktop)
    await form.edit(messages__0__content="newer {{text}}")
    await form.press("save")
    form = await opened(desktop, "", request=row.request_id)
    assert "Its version (v1), values and parameters are filled in." in form
    assert form["messages.0.content"] == before["messages"][0]["content"]
    assert (form["base_version"], form["param.temperature"], form["var.text"]) == ("2", "0.9", "hi")
    await form.press("save")
    assert "Saved v3" in form
    assert (await content(desktop))["messages"] == before["messages"]


async def test_an_older_version_opens_as_a_draft(desktop: Desktop) -> None:
    before = (await opened(desktop))["messages.0.content"]
    form = await opened(desktop)
    await form.edit(messages__0__content="newer {{text}}", var__text="my value")
    await form.press("save")
    old = await desktop.get("engineer", prompt="say", version="1")
    assert "v1 is filled in as your draft" in old
    assert old.told["address"]["version"] == ""
    form = Form(desktop, old.html)
    assert (form["messages.0.content"], form["var.text"]) == (before, "my value")
    await form.press("undo")
    assert form["messages.0.content"] == "newer {{text}}"
    assert "is filled in" not in await desktop.get("engineer", prompt="say", version="2")
    assert "is filled in" not in await desktop.get("engineer", prompt="say", version="77")


async def test_a_prompt_is_duplicated(desktop: Desktop) -> None:
    form = await opened(desktop, "varied")
    assert 'href="?tab=engineer&amp;prompt=varied&amp;new=prompt%3Avaried"' in form
    asked = await desktop.get("engineer", prompt="varied", new="prompt:varied")
    assert '<option value="prompt:varied" selected="">Copy of varied</option>' in asked
    await desktop.post("engineer/new", new_key="mail/varied", starter="prompt:varied")
    form = await opened(desktop, "mail/varied")
    await form.press("save")
    made, source = await content(desktop, "mail/varied"), await content(desktop, "varied")
    assert made == {**{key: value for key, value in source.items() if key != "label"}, "name": "Varied"}
    refused = await desktop.post("engineer/new", new_key="another", starter="prompt:none")
    assert 'role="alert"' in refused
    assert "none" in refused


async def test_an_address_that_names_no_prompt_shows_the_first(desktop: Desktop) -> None:
    form = await opened(desktop, "<b>")
    assert "not found" in form
    assert "<b>" not in form.html.split("</header>")[0]
    assert form["key"] == "chat"


async def test_a_workbench_without_prompts_says_what_to_do(desktop: Desktop) -> None:
    for path in desktop.place.prompts.glob("*.yaml"):
        path.unlink()
    form = await opened(desktop, "")
    assert "No prompts yet" in form
    assert "New prompt" in form


async def test_broken_files_are_told_with_their_place(desktop: Desktop) -> None:
    (desktop.place.prompts / "bad.yaml").write_text("name: Bad\ntarget_models: [x]\npromt: typo\n", encoding="utf-8")
    assert "bad.yaml, line 3, key promt" in await desktop.get("engineer", prompt="say")
