"""Drafts and saving in the first tab: what is typed is kept, comes back, can be undone, and becomes a version."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from herding.errors import HerdingError
from herding.prompts import variables
from herding.prompts.edits import Edits
from herding.prompts.yaml_dump import dump_file
from herding.ui.engineer.draft_pane import SaveForm
from herding.ui.engineer.editor import Editor
from herding.ui.engineer.session_state import SessionState
from herding.values import Principal
from tests.support.herding import ADMIN, GUEST
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop, opened

ADA = principal("ada", "user")
BOB = principal("bob", "user")
MINE = 'messages: [{role: user, content: "mine {{text}}"}]'
SLOW = """
    name: Slow
    target_models: [echo]
    variables:
      text: {type: text, default: a, pattern: "(a|aa)+$"}
    prompt: "{{text}}"
    """
WHOLE = 'name: Whole\ntarget_models: [echo]\nvariables:\n  who: {type: text, default: you}\nprompt: "hi {{who}}"\n'


def editor(desktop: Desktop) -> Editor:
    return desktop.page.engineer.editor


def save_form(desktop: Desktop) -> SaveForm:
    return editor(desktop).pane.save_form


def first(desktop: Desktop) -> Any:
    return editor(desktop).form.components[0]


def state(desktop: Desktop) -> str:
    return re.sub("<[^>]+>", "", str(desktop.value(editor(desktop).pane.status)))


def visible(desktop: Desktop, component: Any) -> bool:
    return bool(desktop.prop(component, "visible"))


async def write(desktop: Desktop, text: str, component: Any = None, who: Principal | None = None) -> None:
    desktop.set(component or editor(desktop).template, text)
    await desktop.fire("edited", who=who)


async def kept(desktop: Desktop, key: str = "say", who: Principal = ADMIN) -> Edits:
    found = await desktop.place.orchestrator.drafts.get(key, who)
    return found.edits if found else Edits()


async def again(desktop: Desktop, prompt: str = "say", who: Principal | None = None) -> None:
    """Another browser, or the same one after a reload."""
    desktop.shown.clear()
    desktop.set(desktop.page.engineer.session, SessionState())
    await desktop.fire("page_load", prompt=prompt, who=who)


async def newest(desktop: Desktop, key: str = "say") -> int:
    return (await desktop.place.orchestrator.prompts.get(key, ADMIN)).newest


async def test_what_is_typed_is_kept_and_comes_back(desktop: Desktop) -> None:
    assert "saved as a draft automatically" in state(desktop)
    await write(desktop, MINE)
    await write(desktop, "quite new", first(desktop))
    await write(desktop, 0.7, editor(desktop).parameters.components[0])  # type: ignore[arg-type]
    await write(desktop, "END\\n\nSTOP", editor(desktop).parameters.components[5])
    assert re.search(r"Draft saved \d\d:\d\d UTC", state(desktop))
    assert await kept(desktop) == Edits({"text": "quite new"}, MINE, {"temperature": 0.7, "stop": ["END\n", "STOP"]})
    await again(desktop)
    assert desktop.value(editor(desktop).template) == MINE
    assert desktop.value(first(desktop)) == "quite new"
    assert desktop.value(editor(desktop).parameters.components[0]) == 0.7
    assert desktop.value(editor(desktop).parameters.components[5]) == "END\\n\nSTOP"
    assert "Draft saved" in state(desktop)
    await desktop.fire("run")
    assert (await desktop.place.row()).answer.startswith("mine quite new")


async def test_it_comes_back_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as desktop:
        await write(desktop, MINE)
    async with opened(tmp_path) as desktop:
        assert desktop.value(editor(desktop).template) == MINE


async def test_opening_a_prompt_is_no_draft(desktop: Desktop) -> None:
    for key in ("varied", "many", "chat", "say"):
        desktop.set(desktop.page.engineer.picker, key)
        await desktop.fire("choose")
    assert await desktop.place.store.drafts(ADMIN.id) == ()
    assert not visible(desktop, editor(desktop).pane.undo)
    assert not visible(desktop, save_form(desktop).box)


async def test_a_page_from_before_a_restart_goes_on(desktop: Desktop) -> None:
    await write(desktop, MINE)
    desktop.set(desktop.page.engineer.session, SessionState())
    await write(desktop, MINE + " # more")
    assert (await kept(desktop)).template == MINE + " # more"
    assert "Draft saved" in state(desktop)


async def test_another_browser_of_somebody_else_shows_nothing_of_it(desktop: Desktop) -> None:
    await write(desktop, MINE)
    await again(desktop, who=BOB)
    assert desktop.value(editor(desktop).template) != MINE


async def test_a_guest_keeps_inputs_and_cannot_save(desktop: Desktop) -> None:
    await again(desktop, who=GUEST)
    assert not visible(desktop, desktop.page.engineer.new.button)
    assert not visible(desktop, editor(desktop).show_yaml)
    await write(desktop, "quite new", first(desktop), who=GUEST)
    assert "Draft saved" in state(desktop)
    assert not visible(desktop, save_form(desktop).box)
    await again(desktop, who=GUEST)
    assert desktop.value(first(desktop)) == "quite new"
    await write(desktop, MINE, who=GUEST)
    assert "not saved" in state(desktop)
    assert "edit" in state(desktop)
    assert (await kept(desktop, who=GUEST)).template is None


async def test_a_database_that_refuses_is_told(desktop: Desktop) -> None:
    await desktop.place.store.close()
    await write(desktop, MINE)
    assert "not saved" in state(desktop)


async def test_steps_can_be_undone_and_done_again(desktop: Desktop) -> None:
    own = desktop.value(editor(desktop).template)
    long = MINE + " # " + "x" * 60
    for text in (MINE, long):
        await write(desktop, text)
    await desktop.fire("undo")
    assert desktop.value(editor(desktop).template) == MINE
    assert (await kept(desktop)).template == MINE
    assert visible(desktop, editor(desktop).pane.redo)
    await desktop.fire("undo")
    assert desktop.value(editor(desktop).template) == own
    await desktop.fire("undo")
    assert desktop.value(editor(desktop).template) == own
    for text in (MINE, long):
        await desktop.fire("redo")
        assert desktop.value(editor(desktop).template) == text
    assert not visible(desktop, editor(desktop).pane.redo)
    assert (await kept(desktop)).template == long


async def test_typing_after_an_undo_ends_what_could_be_done_again(desktop: Desktop) -> None:
    for text in (MINE, MINE + " # " + "x" * 60):
        await write(desktop, text)
    await desktop.fire("undo")
    await write(desktop, MINE + " # other")
    assert not visible(desktop, editor(desktop).pane.redo)
    await desktop.fire("redo")
    assert desktop.value(editor(desktop).template) == MINE + " # other"


async def test_what_the_browser_sends_late_does_not_undo_an_undo(desktop: Desktop) -> None:
    own = desktop.value(editor(desktop).template)
    await write(desktop, MINE)
    before = desktop.value(editor(desktop).form_key)
    await desktop.fire("undo")
    now = desktop.value(editor(desktop).form_key)
    desktop.set(editor(desktop).form_key, before)
    await write(desktop, MINE + " # late")
    desktop.set(editor(desktop).form_key, now)
    assert (await kept(desktop)).template is None
    desktop.set(editor(desktop).template, own)
    await desktop.fire("edited")
    assert (await kept(desktop)).empty


async def test_a_draft_can_be_discarded(desktop: Desktop) -> None:
    own = desktop.value(editor(desktop).template)
    await write(desktop, MINE)
    assert visible(desktop, editor(desktop).pane.discard.box)
    await desktop.fire("discard_draft")
    assert desktop.value(editor(desktop).template) == own
    assert await desktop.place.store.drafts(ADMIN.id) == ()
    assert not visible(desktop, editor(desktop).pane.discard.box)
    assert not visible(desktop, save_form(desktop).box)


async def test_who_else_edits_is_named(desktop: Desktop) -> None:
    others = editor(desktop).pane.others
    await write(desktop, MINE)
    assert not visible(desktop, others)
    for who in (ADA, BOB):
        await desktop.place.orchestrator.drafts.store("say", Edits(template=MINE), who)
    await write(desktop, MINE + " # more")
    assert visible(desktop, others)
    assert "<strong>ada</strong> and <strong>bob</strong> are editing this prompt" in desktop.value(others)


async def test_a_draft_is_saved_as_a_version(desktop: Desktop) -> None:
    form = save_form(desktop)
    await write(desktop, "quite new", first(desktop))
    assert not visible(desktop, form.box)
    await write(desktop, MINE)
    assert visible(desktop, form.box)
    desktop.set(form.message, " shorter ")
    await desktop.fire("run")
    await desktop.fire("save_version")
    assert "Saved v2" in desktop.value(form.note)
    assert desktop.value(form.message) == ""
    assert not visible(desktop, form.box)
    assert "edited" not in desktop.value(editor(desktop).template_mark)
    assert "mine {{text}}" in desktop.value(editor(desktop).template)
    assert desktop.value(first(desktop)) == "quite new"
    assert desktop.value(desktop.page.engineer.runner.pane.text).startswith("mine quite new")
    (version, _) = await desktop.place.orchestrator.studio.versions("say", ADMIN)
    assert (version.number, version.message, version.author) == (2, "shorter", "admin")
    assert await kept(desktop) == Edits({"text": "quite new"})
    assert "mine {{text}}" in (desktop.place.prompts / "say.yaml").read_text()


async def test_inputs_are_kept_as_defaults_only_on_wish(desktop: Desktop) -> None:
    form = save_form(desktop)
    await write(desktop, MINE)
    assert not visible(desktop, form.inputs)
    await write(desktop, "quite new", first(desktop))
    assert visible(desktop, form.inputs)
    desktop.set(form.inputs, True)
    await desktop.fire("save_version")
    info = await desktop.place.orchestrator.prompts.get("say", ADMIN)
    assert info.variables["text"]["default"] == "quite new"
    assert await desktop.place.store.drafts(ADMIN.id) == ()


async def test_who_may_not_save_is_refused(desktop: Desktop) -> None:
    eve = replace(ADA, id="eve", rights=ADA.rights - {"save"})
    await again(desktop, who=eve)
    await write(desktop, MINE, who=eve)
    assert not visible(desktop, save_form(desktop).box)
    with pytest.raises(HerdingError, match="save"):
        await desktop.place.orchestrator.drafts.save("say", eve)
    assert await newest(desktop) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("messages:\n  - {role: robot, content: hi}", "line 2"),
        ("messages: [", "not valid YAML"),
        ('prompt: "{{other}}"', "&#123;&#123;other&#125;&#125;"),
    ],
)
async def test_what_is_wrong_is_told_at_the_text_and_not_saved(desktop: Desktop, text: str, words: str) -> None:
    await write(desktop, text)
    assert words in desktop.value(editor(desktop).template_error)
    await desktop.fire("save_version")
    assert words in desktop.value(save_form(desktop).note)
    assert "Not saved" in desktop.value(save_form(desktop).note)
    assert await newest(desktop) == 1
    assert (await kept(desktop)).template == text


async def test_the_second_save_is_a_conflict_that_loses_nothing(desktop: Desktop) -> None:
    form, drafts = save_form(desktop), desktop.place.orchestrator.drafts
    await write(desktop, MINE)
    await drafts.store("say", Edits(template=MINE.replace("mine", "theirs"), parameters={"top_k": 3}), ADA)
    await drafts.save("say", ADA, message=HOSTILE_TEXT)
    await desktop.fire("save_version")
    clash = desktop.value(form.conflict_note)
    assert visible(desktop, form.conflict)
    for part in ("ada", "saved v2", "Your draft is based on v1", "Show differences"):
        assert part in clash
    assert "<img" not in clash
    assert ">theirs<" in clash
    assert ">mine<" in clash
    assert (await kept(desktop)).template == MINE
    await again(desktop)
    assert desktop.value(editor(desktop).template) == MINE
    assert "based on v1, latest is v2" in state(desktop)
    await desktop.fire("save_version")
    await desktop.fire("save_mine")
    assert "Saved v3" in desktop.value(form.note)
    assert not visible(desktop, form.conflict)
    info = await desktop.place.orchestrator.prompts.get("say", ADMIN)
    assert "mine {{text}}" in info.body
    assert info.parameters.top_k == 3


def page(desktop: Desktop) -> dict[int, Any]:
    """What a browser shows now, to come back to."""
    return {component: dict(props) for component, props in desktop.shown.items()}


async def test_what_one_page_shows_is_saved_whatever_the_same_person_writes_in_another_browser(
    desktop: Desktop,
) -> None:
    await write(desktop, MINE)
    first_page = page(desktop)
    await again(desktop)
    other = 'messages: [{role: user, content: "other {{text}}"}]'
    await write(desktop, other)
    desktop.shown, other_page = first_page, page(desktop)
    await desktop.fire("save_version")
    assert "Saved v2" in str(desktop.value(save_form(desktop).note))
    info = await desktop.place.orchestrator.prompts.get("say@2", ADMIN)
    assert info.content["messages"][0]["content"] == "mine {{text}}"
    assert (await kept(desktop)).template == other
    desktop.shown = other_page
    await desktop.fire("save_version")
    assert "saved v2" in str(desktop.value(save_form(desktop).conflict_note))
    assert desktop.value(editor(desktop).template) == other
    assert await newest(desktop) == 2
    await desktop.fire("save_mine")
    info = await desktop.place.orchestrator.prompts.get("say@3", ADMIN)
    assert info.content["messages"][0]["content"] == "other {{text}}"
    assert await kept(desktop) == Edits()


async def test_a_draft_that_was_saved_in_one_browser_can_be_saved_in_the_other(desktop: Desktop) -> None:
    await write(desktop, MINE)
    first_page = page(desktop)
    await again(desktop)
    await desktop.fire("save_version")
    desktop.shown = first_page
    await desktop.fire("save_version")
    assert "v2 is identical" in str(desktop.value(save_form(desktop).note))


async def test_a_text_that_is_reverted_at_once_can_be_gone_back_to(desktop: Desktop) -> None:
    await write(desktop, MINE)
    await write(desktop, MINE + " # and a word")
    await desktop.fire("revert_template")
    await again(desktop)
    assert await kept(desktop) == Edits()
    desktop.set(editor(desktop).show_yaml, False)
    await desktop.fire("undo")
    assert desktop.value(editor(desktop).template) == MINE + " # and a word"


@pytest.mark.parametrize("reloaded", [True, False])
async def test_the_draft_of_a_prompt_whose_file_goes_is_that_of_a_new_one(desktop: Desktop, reloaded: bool) -> None:
    await write(desktop, MINE)
    (desktop.place.prompts / "say.yaml").unlink()
    await desktop.place.orchestrator.load()
    if reloaded:
        await again(desktop)
    else:
        desktop.set(desktop.page.engineer.picker, "say")
        await desktop.fire("choose")
    assert ("say · Not saved", "say") in desktop.prop(desktop.page.engineer.picker, "choices")
    assert "mine {{text}}" in desktop.value(editor(desktop).template)
    assert "target_models" in desktop.value(editor(desktop).template)
    await desktop.fire("save_version")
    assert "Saved v2" in str(desktop.value(save_form(desktop).note))
    assert "mine {{text}}" in (desktop.place.prompts / "say.yaml").read_text()


async def test_a_key_of_which_only_inputs_are_left_can_be_begun_anew(desktop: Desktop) -> None:
    await write(desktop, "typed", first(desktop))
    (desktop.place.prompts / "say.yaml").unlink()
    await desktop.place.orchestrator.load()
    desktop.set(desktop.page.engineer.new.key, "say")
    await desktop.fire("start_prompt")
    assert "You are a careful assistant" in desktop.value(editor(desktop).template)


async def test_theirs_can_be_taken_and_mine_comes_back_all_the_same(desktop: Desktop) -> None:
    form, drafts = save_form(desktop), desktop.place.orchestrator.drafts
    await write(desktop, "quite new", first(desktop))
    await write(desktop, MINE)
    await drafts.store("say", Edits(template=MINE.replace("mine", "theirs")), ADA)
    await drafts.save("say", ADA)
    await desktop.fire("save_version")
    await desktop.fire("take_theirs")
    assert "theirs {{text}}" in desktop.value(editor(desktop).template)
    assert desktop.value(first(desktop)) == "quite new"
    assert not visible(desktop, form.conflict)
    assert await kept(desktop) == Edits({"text": "quite new"})
    await desktop.fire("redo")
    assert desktop.value(editor(desktop).template) == MINE
    await desktop.fire("save_version")
    assert await newest(desktop) == 3


async def test_a_file_that_cannot_be_written_is_offered(desktop: Desktop) -> None:
    await desktop.place.orchestrator.load()
    (desktop.place.prompts / "both.yaml").write_text(
        "one: {name: One, target_models: [echo], prompt: hi}\ntwo: {name: Two, target_models: [echo], prompt: ho}\n"
    )
    await again(desktop, "one")
    await write(desktop, "prompt: hello")
    await desktop.fire("save_version")
    note = desktop.value(save_form(desktop).note)
    assert "Saved v2" in note
    assert "Saved in the database only" in note


async def test_the_whole_prompt_can_be_edited(desktop: Desktop) -> None:
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    own = desktop.value(editor(desktop).template)
    assert own == (desktop.place.prompts / "say.yaml").read_text()
    assert await desktop.place.store.drafts(ADMIN.id) == ()
    await write(desktop, WHOLE)
    assert desktop.prop(first(desktop), "label") == "who"
    assert desktop.value(first(desktop)) == "you"
    await desktop.fire("update_models_0")
    assert desktop.prop(desktop.page.engineer.runner.model, "choices") == [("Auto", ""), ("echo · echo", "echo")]
    await write(desktop, "Ada", first(desktop))
    await desktop.fire("run")
    row = await desktop.place.row()
    assert (row.answer, row.edited) == ("hi Ada", True)
    await again(desktop)
    assert desktop.value(editor(desktop).template) == WHOLE
    assert desktop.prop(editor(desktop).show_yaml, "value") is True
    assert desktop.value(first(desktop)) == "Ada"
    await desktop.fire("save_version")
    assert "Saved v2" in desktop.value(save_form(desktop).note)
    assert desktop.value(editor(desktop).template).startswith("name: Whole")


async def test_what_is_wrong_in_a_whole_prompt_is_named_at_once(desktop: Desktop) -> None:
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    await write(desktop, WHOLE + "colour: red\n")
    assert "line 6" in desktop.value(editor(desktop).template_error)
    assert "colour: this key is not known" in desktop.value(editor(desktop).template_error)
    await desktop.fire("run")
    assert "line 6" in desktop.value(desktop.page.engineer.runner.pane.error)
    assert await desktop.place.rows() == []
    await write(desktop, WHOLE)
    assert desktop.value(editor(desktop).template_error) == ""


async def test_a_variable_that_is_renamed_in_the_whole_prompt_is_no_mistake(desktop: Desktop) -> None:
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    await write(desktop, "typed", first(desktop))
    await write(desktop, WHOLE)
    assert "no variable" not in str(desktop.value(editor(desktop).variant))
    assert desktop.value(first(desktop)) == "you"


async def test_parameters_of_the_whole_prompt_are_shown_and_not_taken_for_edits(desktop: Desktop) -> None:
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    await write(desktop, WHOLE + "parameters: {temperature: 0.3}\n")
    assert desktop.value(editor(desktop).parameters.components[0]) == 0.3
    await write(desktop, WHOLE + "parameters: {temperature: 0.9}\n")
    assert desktop.value(editor(desktop).parameters.components[0]) == 0.9
    assert (await kept(desktop)).parameters == {}


async def test_an_edited_template_goes_along_to_the_whole_prompt_and_back(desktop: Desktop) -> None:
    await write(desktop, MINE)
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    whole = desktop.value(editor(desktop).template)
    assert "mine {{text}}" in whole
    desktop.set(editor(desktop).show_yaml, False)
    await desktop.fire("whole")
    assert "mine {{text}}" in desktop.value(editor(desktop).template)
    assert "name:" not in desktop.value(editor(desktop).template)
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    await write(desktop, whole + "tags: [x]\n")
    desktop.set(editor(desktop).show_yaml, False)
    await desktop.fire("whole")
    assert desktop.prop(editor(desktop).show_yaml, "value") is True
    assert "More than the template is edited" in desktop.value(editor(desktop).template_error)
    assert "tags: [x]" in desktop.value(editor(desktop).template)


async def test_a_template_that_is_none_is_mended_before_it_becomes_whole(desktop: Desktop) -> None:
    await write(desktop, "messages: [")
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    assert desktop.prop(editor(desktop).show_yaml, "value") is False
    assert "not valid YAML" in desktop.value(editor(desktop).template_error)
    assert desktop.value(editor(desktop).template) == "messages: ["


async def begin(desktop: Desktop, key: str, who: Principal | None = None) -> None:
    desktop.set(desktop.page.engineer.new.key, key)
    await desktop.fire("start_prompt", who=who)


async def test_a_new_prompt_is_begun_kept_tried_and_saved(desktop: Desktop) -> None:
    engineer = desktop.page.engineer
    await desktop.fire("new_prompt")
    assert visible(desktop, engineer.new.form)
    await begin(desktop, "mail/short_answer")
    assert not visible(desktop, engineer.new.form)
    assert desktop.value(engineer.picker) == "mail/short_answer"
    assert "Not saved" in desktop.value(engineer.about)
    assert desktop.value(editor(desktop).template).startswith('name: "Short answer"\n')
    assert desktop.prop(editor(desktop).section, "open") is True
    text = desktop.value(editor(desktop).template).replace("Answer in one sentence.", "Be short.")
    await write(desktop, text)
    await again(desktop, "mail/short_answer")
    assert desktop.value(editor(desktop).template) == text
    await desktop.fire("run")
    assert (await desktop.place.row()).version == 0
    assert desktop.prop(save_form(desktop).save, "value") == "Save as version 1"
    await desktop.fire("save_version")
    assert "Saved v1" in desktop.value(save_form(desktop).note)
    assert (desktop.place.prompts / "mail" / "short_answer.yaml").exists()
    assert desktop.value(engineer.picker) == "mail/short_answer"
    assert "Not saved" not in desktop.value(engineer.about)
    assert "mail/short_answer" in [key for _, key in desktop.prop(engineer.picker, "choices")]


@pytest.mark.parametrize("key", ["", "say", "a b", "../x", "x/versions", HOSTILE_TEXT])
async def test_a_key_that_cannot_be_is_told_at_the_field(desktop: Desktop, key: str) -> None:
    await begin(desktop, key)
    note = desktop.value(desktop.page.engineer.new.note)
    assert "wrong" in note
    assert "<img" not in note
    assert desktop.value(desktop.page.engineer.picker) == "say"


@pytest.mark.parametrize("key", ["SAY", "Say/more", "TEAM/other", "team/A"])
async def test_a_key_that_differs_by_its_case_only_is_refused_at_once(desktop: Desktop, key: str) -> None:
    desktop.place.write("team/a", "name: A\ntarget_models: [echo]\nprompt: x\n")
    await begin(desktop, key)
    assert "differs only by case" in desktop.value(desktop.page.engineer.new.note)
    assert desktop.value(desktop.page.engineer.picker) == "say"
    assert await desktop.place.store.drafts(ADMIN.id) == ()


async def test_a_key_that_was_taken_in_another_case_meanwhile_is_refused_when_it_is_saved(desktop: Desktop) -> None:
    await begin(desktop, "NEW")
    desktop.place.write("new", "name: A\ntarget_models: [echo]\nprompt: x\n")
    await desktop.fire("save_version")
    assert "differs only by case" in desktop.value(save_form(desktop).note)
    assert (await kept(desktop, "NEW")).whole is not None


async def test_a_slow_pattern_holds_nobody_up_while_one_types(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits, threads = variables.matches_fully, set[int]()

    def remembered(*args: Any, **named: Any) -> bool:
        threads.add(threading.get_ident())
        return fits(*args, **named)

    desktop.place.write("slow", SLOW)
    await desktop.fire("page_load", prompt="slow")
    monkeypatch.setattr(variables, "matches_fully", remembered)
    await write(desktop, "a" * 40 + "!", first(desktop))
    assert "akes too long" in desktop.prop(first(desktop), "info")
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    assert threads
    assert threading.get_ident() not in threads


async def test_a_prompt_that_was_begun_is_opened_again_as_it_is(desktop: Desktop) -> None:
    await begin(desktop, "new")
    await write(desktop, WHOLE)
    await desktop.fire("page_load", prompt="say")
    await begin(desktop, "new")
    assert desktop.value(editor(desktop).template) == WHOLE


async def test_a_new_prompt_that_is_discarded_is_gone(desktop: Desktop) -> None:
    await begin(desktop, "new")
    await desktop.fire("discard_draft")
    assert desktop.value(desktop.page.engineer.picker) == "chat"
    assert await desktop.place.store.drafts(ADMIN.id) == ()


async def test_somebody_took_the_key_meanwhile(desktop: Desktop) -> None:
    await begin(desktop, "new")
    drafts = desktop.place.orchestrator.drafts
    await drafts.store("new", Edits(whole=WHOLE), ADA)
    await drafts.save("new", ADA)
    await desktop.fire("save_version")
    assert "Your draft is a new prompt" in desktop.value(save_form(desktop).conflict_note)
    await desktop.fire("take_theirs")
    assert desktop.value(desktop.page.engineer.picker) == "new"
    assert "hi {{who}}" in desktop.value(editor(desktop).template)
    await desktop.fire("redo")
    assert desktop.value(editor(desktop).template).startswith('name: "New"\n')


async def test_a_prompt_is_deleted_by_those_who_may(desktop: Desktop) -> None:
    assert visible(desktop, editor(desktop).delete.box)
    await desktop.fire("delete_prompt")
    assert not (desktop.place.prompts / "say.yaml").exists()
    assert desktop.value(desktop.page.engineer.picker) == "chat"
    await again(desktop, "chat", who=ADA)
    assert not visible(desktop, editor(desktop).delete.box)


async def test_a_prompt_that_somebody_changed_meanwhile_is_not_deleted(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    await drafts.store("say", Edits(template=MINE), ADA)
    await drafts.save("say", ADA)
    with pytest.raises(HerdingError, match="is at v2 now"):
        await desktop.fire("delete_prompt")
    assert (desktop.place.prompts / "say.yaml").exists()


async def test_a_writer_sees_the_newest_version_and_others_the_served_one(desktop: Desktop) -> None:
    studio, drafts = desktop.place.orchestrator.studio, desktop.place.orchestrator.drafts
    await studio.move_label("say", "prod", 1, ADMIN)
    await drafts.store("say", Edits(template=MINE), ADA)
    await drafts.save("say", ADA)
    await again(desktop, who=ADA)
    assert "mine {{text}}" in desktop.value(editor(desktop).template)
    assert "Editing v2 · v1 is live" in desktop.value(desktop.page.engineer.about)
    await desktop.fire("run", who=ADA)
    (row,) = await desktop.place.rows(ADA)
    assert (row.version, row.edited) == (2, False)
    await again(desktop, who=GUEST)
    assert "mine" not in desktop.value(editor(desktop).template)


async def test_nothing_is_saved_while_an_answer_runs(desktop: Desktop) -> None:
    desktop.place.write("slow", "target_models: [slow/model]\nname: Slow\nvariables: {}\nprompt: " + "word " * 20)
    await again(desktop, "slow")
    await write(desktop, "prompt: " + "mine " * 20)
    async for _ in desktop.steps("run"):
        if desktop.prop(desktop.page.engineer.runner.stop, "interactive"):
            for event in ("save_version", "save_mine", "take_theirs", "discard_draft", "delete_prompt"):
                with pytest.raises(HerdingError, match="still running"):
                    await desktop.fire(event)
            await desktop.fire("stop")


async def test_fields_say_what_is_wrong_with_them(desktop: Desktop) -> None:
    desktop.set(desktop.page.engineer.picker, "varied")
    await desktop.fire("choose")
    note = editor(desktop).form.components[9]
    await write(desktop, "x" * 51, note)
    assert "Must have at most 50 characters" in desktop.prop(note, "info")
    assert "Must" not in desktop.prop(first(desktop), "info")
    await write(desktop, "-3", first(desktop))
    assert "Must be at least 0, it is -3" in desktop.prop(first(desktop), "info")
    await write(desktop, "3", first(desktop))
    assert "faulty" not in desktop.prop(first(desktop), "elem_classes")
    assert "faulty" in desktop.prop(note, "elem_classes")
    await again(desktop, "varied")
    assert "Must have at most 50 characters" in desktop.prop(note, "info")
    assert isinstance(note, gr.Textbox)


async def test_a_column_of_compare_takes_the_place_of_a_draft_that_can_be_gone_back_to(desktop: Desktop) -> None:
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    await write(desktop, WHOLE)
    await desktop.fire("compare", prompt="say")
    compare = desktop.page.compare
    desktop.set(compare.picker, "say")
    await desktop.fire("compare_choose")
    desktop.set(compare.form.components[0], "from a column")
    await desktop.fire("compare_use_0")
    assert desktop.value(first(desktop)) == "from a column"
    assert desktop.prop(editor(desktop).show_yaml, "value") is False
    assert await kept(desktop) == Edits({"text": "from a column"})
    await desktop.fire("undo")
    assert desktop.value(editor(desktop).template) == WHOLE


async def test_nothing_is_stored_of_who_opted_out_and_the_page_says_so(desktop: Desktop) -> None:
    shy = replace(ADA, opt_out=True)
    await again(desktop, who=shy)
    await write(desktop, MINE, who=shy)
    assert "Drafts are not stored" in state(desktop)
    assert await desktop.place.store.drafts("ada") == ()
    assert await desktop.place.store.draft_steps("ada", "say") == ()
    assert desktop.value(editor(desktop).template) == MINE
    await desktop.fire("save_version", who=shy)
    assert "Saved v2" in desktop.value(save_form(desktop).note)
    assert await desktop.place.store.drafts("ada") == ()


TYPED = """\
# of Ada
prompt: "hi {{who}}"  # the text
name: Whole
variables: {who: {type: text, default: you}}  # the one
target_models: [echo]
# the end
"""


async def test_what_is_typed_as_yaml_is_what_the_file_holds(desktop: Desktop) -> None:
    file = desktop.place.prompts / "new.yaml"
    await begin(desktop, "new")
    await write(desktop, TYPED)
    await desktop.fire("save_version")
    assert file.read_text() == TYPED
    await desktop.place.orchestrator.studio.move_label("new", "prod", 1, ADMIN)
    assert "label: prod" in file.read_text()
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    assert desktop.value(editor(desktop).template) == TYPED
    text = TYPED.replace("hi", "hello").replace("# the end", "# the very end")
    await write(desktop, text)
    await desktop.fire("save_version")
    assert "Saved v2" in desktop.value(save_form(desktop).note)
    assert file.read_text() == text
    assert await desktop.place.orchestrator.studio.labels("new", ADMIN) == {"prod": 1}
    await desktop.fire("page_load", prompt="new")
    assert desktop.value(editor(desktop).template) == text
    await write(desktop, text.replace("# of Ada", "# of Bob"))
    await desktop.fire("save_version")
    assert file.read_text() == text.replace("# of Ada", "# of Bob")
    assert len(await desktop.place.orchestrator.studio.versions("new", ADMIN)) == 2


async def test_a_text_that_holds_data_only_takes_no_comment_away(desktop: Desktop) -> None:
    desktop.place.write("new", TYPED)
    drafts = desktop.place.orchestrator.drafts
    info = await desktop.place.orchestrator.prompts.get("new", ADMIN)
    whole = dump_file({**info.content, "name": "Other"})
    await drafts.store("new", Edits(whole=whole), ADMIN)
    await drafts.save("new", ADMIN)
    assert (desktop.place.prompts / "new.yaml").read_text() == TYPED.replace("Whole", "Other")


async def test_an_edited_template_goes_into_the_whole_prompt_with_its_comments(desktop: Desktop) -> None:
    desktop.place.write("new", TYPED)
    await desktop.fire("page_load", prompt="new")
    await write(desktop, 'prompt: "hello {{who}}"')
    desktop.set(editor(desktop).show_yaml, True)
    await desktop.fire("whole")
    assert desktop.value(editor(desktop).template) == TYPED.replace("hi", "hello")
    await desktop.fire("save_version")
    assert (desktop.place.prompts / "new.yaml").read_text() == TYPED.replace("hi", "hello")
