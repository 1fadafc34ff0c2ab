"""The first tab as a person uses it: the form, its edits, running, and the feedback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from herding.errors import HerdingError
from herding.ui.engineer.session_state import SessionState
from herding.ui.kit.variable_form import FIELD_COUNT
from herding.values import Parameters
from tests.support.herding import GUEST
from tests.support.people import principal
from tests.ui.conftest import Desktop


def fields(desktop: Desktop) -> list[Any]:
    return desktop.page.engineer.editor.form.components


async def choose(desktop: Desktop, key: str) -> None:
    desktop.set(desktop.page.engineer.picker, key)
    await desktop.fire("choose")


async def edit(desktop: Desktop, component: Any, value: Any) -> None:
    desktop.set(component, value)
    await desktop.fire("edited")


def labels(desktop: Desktop) -> list[str]:
    return [desktop.prop(field, "label") for field in fields(desktop) if desktop.prop(field, "visible") is True]


async def test_the_form_takes_the_shape_of_the_prompt(desktop: Desktop) -> None:
    assert labels(desktop) == ["text"]
    await choose(desktop, "varied")
    assert labels(desktop) == ["error", "tone", "loud", "note"]
    error, tone, loud = fields(desktop)[0], fields(desktop)[4], fields(desktop)[8]
    assert [desktop.value(field) for field in (error, tone, loud)] == ["1200", "kind", False]
    assert "Number, min 0" in desktop.prop(error, "info")
    assert "Max 50 characters · Optional" in desktop.prop(fields(desktop)[9], "info")


async def test_the_address_names_the_prompt_and_the_tab(desktop: Desktop) -> None:
    await desktop.fire("page_load", tab="history", prompt="varied")
    assert desktop.prop(desktop.page.tabs, "selected") == "history"
    assert desktop.value(desktop.page.engineer.picker) == "varied"


async def test_an_address_that_names_nothing_says_so_and_shows_something(desktop: Desktop) -> None:
    await desktop.fire("page_load", tab="<b>", prompt="<b>")
    assert desktop.prop(desktop.page.tabs, "selected") == "engineer"
    assert "not found" in desktop.value(desktop.page.engineer.about)
    assert "<b>" not in desktop.value(desktop.page.engineer.about)
    assert desktop.value(desktop.page.engineer.picker) == "chat"


async def test_edits_are_kept_when_the_prompt_changes_and_comes_back(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    editor = desktop.page.engineer.editor
    await edit(desktop, fields(desktop)[0], "2500")
    await edit(desktop, editor.template, desktop.value(editor.template) + "# mine\n")
    await edit(desktop, editor.parameters.components[0], 1.5)
    await choose(desktop, "say")
    assert desktop.value(fields(desktop)[0]) == "one two three"
    await choose(desktop, "varied")
    assert desktop.value(fields(desktop)[0]) == "2500"
    assert desktop.value(editor.template).endswith("# mine\n")
    assert desktop.value(editor.parameters.components[0]) == 1.5
    assert "Unsaved changes" in desktop.value(editor.template_mark)
    assert "Unsaved changes" in desktop.value(editor.parameters_mark)


async def test_what_the_browser_sends_while_the_prompt_changes_is_no_edit_of_the_new_one(desktop: Desktop) -> None:
    desktop.set(fields(desktop)[0], "typed into say")
    owner = desktop.page.engineer.editor.form_key
    await choose(desktop, "varied")
    desktop.set(owner, "say")
    await edit(desktop, fields(desktop)[0], "typed into say")
    assert desktop.value(desktop.page.engineer.session).draft.values == {}
    desktop.set(owner, "varied")
    desktop.set(fields(desktop)[0], "1200")
    await choose(desktop, "say")
    await choose(desktop, "varied")
    assert desktop.value(fields(desktop)[0]) == "1200"


async def test_the_run_button_tells_of_a_field_that_is_wrong(desktop: Desktop) -> None:
    engineer = desktop.page.engineer
    desktop.set(engineer.picker, "varied")
    await desktop.fire("choose")
    faults, field = engineer.runner.errors, engineer.editor.form.components[0]
    for typed, told in (("many", True), ("900", False), ("-1", True)):
        desktop.set(field, typed)
        await desktop.fire("edited")
        await desktop.fire("update_models_0")
        assert ("Fix &quot;error&quot; before running" in desktop.value(faults)) is told
    desktop.set(engineer.picker, "say")
    await desktop.fire("choose")
    assert desktop.value(faults) == ""
    desktop.set(engineer.picker, "varied")
    await desktop.fire("choose")
    assert "error" in desktop.value(faults)


async def test_reset_puts_the_defaults_back_and_leaves_the_template(desktop: Desktop) -> None:
    editor = desktop.page.engineer.editor
    await edit(desktop, fields(desktop)[0], "other")
    await edit(desktop, editor.template, desktop.value(editor.template) + "# mine\n")
    await desktop.fire("to_defaults")
    assert desktop.value(fields(desktop)[0]) == "one two three"
    assert desktop.value(editor.template).endswith("# mine\n")


async def test_template_and_parameters_can_be_reverted(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    editor = desktop.page.engineer.editor
    own = desktop.value(editor.template)
    await edit(desktop, editor.template, own + "# mine\n")
    await edit(desktop, editor.parameters.components[0], 1.5)
    await desktop.fire("revert_template")
    await desktop.fire("revert_parameters")
    assert desktop.value(editor.template) == own
    assert desktop.value(editor.parameters.components[0]) == 0.5
    assert desktop.value(editor.template_mark) == desktop.value(editor.parameters_mark) == ""


async def test_the_variant_and_what_is_wrong_show_while_one_types(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    check = desktop.page.engineer.editor.variant
    assert "near" in desktop.value(check)
    await edit(desktop, fields(desktop)[0], "2500")
    assert "far" in desktop.value(check)
    await edit(desktop, fields(desktop)[0], "a lot")
    assert "Must be a number" in desktop.prop(fields(desktop)[0], "info")
    assert "faulty" in desktop.prop(fields(desktop)[0], "elem_classes")
    assert desktop.value(check) == ""
    await edit(desktop, fields(desktop)[0], "7")
    assert "near" in desktop.value(check)
    assert "Number, min 0" in desktop.prop(fields(desktop)[0], "info")


async def test_a_prompt_with_more_variables_than_fields_still_works(desktop: Desktop) -> None:
    await choose(desktop, "many")
    assert len(labels(desktop)) == FIELD_COUNT + 1
    rest = fields(desktop)[-1]
    assert desktop.value(rest) == "v16: d16\nv17: d17\nv18: d18\n"
    await edit(desktop, rest, "v16: a\nv17: b\nv18: c\n")
    await desktop.fire("run")
    assert desktop.value(desktop.page.engineer.runner.pane.text) == "d0 b c"
    await edit(desktop, rest, "v16: no\nv17: 12:30\nv18: 2024-01-31\n")
    await desktop.fire("run")
    assert desktop.value(desktop.page.engineer.runner.pane.text) == "d0 12:30 2024-01-31"
    assert "not saved" not in desktop.value(desktop.page.engineer.editor.pane.status)
    await edit(desktop, rest, "v16: &a [x]\nv17: *a\n")
    assert "Must be a text" not in desktop.value(desktop.page.engineer.editor.variant)
    for wrong in ("no yaml: [", "v16: !!int ''", "v16: &all [a]\nv17: *all"):
        await edit(desktop, rest, wrong)
        await desktop.fire("run")
        assert "More variables" in desktop.value(desktop.page.engineer.runner.pane.error)


async def test_a_run_streams_and_tells_how_it_went(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    desktop.set(fields(desktop)[0], "3000")
    pane = desktop.page.engineer.runner.pane
    statuses = []
    async for _ in desktop.steps("run"):
        statuses.append(desktop.value(pane.status))
    assert "Waiting for the model" in statuses[0]
    assert "Succeeded" in statuses[-1]
    assert desktop.value(pane.text) == "far 3000 kind no "
    assert "<dt>Token count</dt><dd>reported</dd>" in desktop.value(pane.metrics)
    assert "Routed to echo (echo is the only available model)." in desktop.value(pane.metrics)
    assert desktop.prop(pane.feedback, "visible") is True
    assert desktop.prop(desktop.page.engineer.runner.run, "interactive") is True
    row = await desktop.place.row()
    assert row.parameters == Parameters(temperature=0.5, max_tokens=50, stop=("\n",))
    assert (row.variant, row.edited) == ("far", False)


async def test_only_changed_parameters_and_an_edited_template_go_with_a_run(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    editor = desktop.page.engineer.editor
    temperature, _, _, most, seed, stop = editor.parameters.components
    for field, value in ((temperature, 0), (most, 3), (seed, 7), (stop, "END\\n\nSTOP")):
        desktop.set(field, value)
    desktop.set(editor.template, 'messages: [{role: user, content: "mine {{error}} is four words"}]')
    await desktop.fire("run")
    row = await desktop.place.row()
    assert row.parameters == Parameters(temperature=0, max_tokens=3, seed=7, stop=("END\n", "STOP"))
    assert row.answer == "mine 1200 is"
    assert row.edited
    assert "Truncated at max_tokens" in desktop.value(desktop.page.engineer.runner.pane.status)


async def test_a_value_that_does_not_fit_is_told_and_leaves_no_row(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    desktop.set(fields(desktop)[0], "a lot")
    await desktop.fire("run")
    pane = desktop.page.engineer.runner.pane
    assert "must be a number" in desktop.value(pane.error)
    assert "Not sent" in desktop.value(pane.status)
    assert desktop.prop(pane.feedback, "visible") is False
    assert desktop.prop(desktop.page.engineer.runner.run, "interactive") is True
    assert await desktop.place.rows() == []


async def test_a_node_that_breaks_off_leaves_its_text_and_a_row_to_rate(desktop: Desktop) -> None:
    await choose(desktop, "failing")
    await desktop.fire("run")
    pane = desktop.page.engineer.runner.pane
    assert desktop.value(pane.text) == "half "
    assert "Too slow" in desktop.value(pane.error)
    assert "Incomplete" in desktop.value(pane.status)
    desktop.set(pane.stars, 2)
    await desktop.fire("rate")
    assert "Saved" in desktop.value(pane.note)
    await choose(desktop, "say")
    assert desktop.prop(pane.error, "visible") is False
    await choose(desktop, "failing")
    assert "Too slow" in desktop.value(pane.error)
    assert desktop.value(pane.stars) == 2


async def test_a_guest_may_run_but_not_with_another_template(desktop: Desktop) -> None:
    await desktop.fire("page_load", prompt="say", who=GUEST)
    editor, pane = desktop.page.engineer.editor, desktop.page.engineer.runner.pane
    assert desktop.prop(editor.template, "interactive") is False
    await desktop.fire("run", who=GUEST)
    assert desktop.value(pane.text) == "one two three"
    desktop.set(editor.template, 'messages: [{role: user, content: "forged"}]')
    await desktop.fire("run", who=GUEST)
    assert "Not allowed" in desktop.value(pane.error)
    assert len(await desktop.place.rows(GUEST)) == 1


async def test_stop_ends_the_answer_with_its_row(desktop: Desktop) -> None:
    desktop.place.write("slow", "target_models: [slow/model]\nname: Slow\nvariables: {}\nprompt: " + "word " * 200)
    await choose(desktop, "slow")
    runner, steps = desktop.page.engineer.runner, 0
    async for _ in desktop.steps("run"):
        steps += 1
        if desktop.value(runner.pane.text) and desktop.prop(runner.stop, "interactive"):
            await desktop.fire("stop")
    assert "Stopped" in desktop.value(runner.pane.status)
    assert desktop.prop(runner.pane.feedback, "visible") is True
    row = await desktop.place.row()
    assert row.status == "cancelled"
    assert desktop.value(runner.pane.text) == row.answer != ""


async def test_a_reader_who_leaves_ends_the_generation(desktop: Desktop) -> None:
    desktop.place.write("slow", "target_models: [slow/model]\nname: Slow\nvariables: {}\nprompt: " + "word " * 200)
    await choose(desktop, "slow")
    steps = desktop.steps("run")
    async for _ in steps:
        if desktop.value(desktop.page.engineer.runner.pane.text):
            break
    await steps.aclose()
    async with asyncio.timeout(60):
        while (row := await desktop.place.row()).status == "running":  # noqa: ASYNC110 (the database has no event)
            await asyncio.sleep(0.01)
    assert row.status == "abandoned"


async def test_no_other_prompt_is_shown_while_one_runs(desktop: Desktop) -> None:
    desktop.place.write("slow", "target_models: [slow/model]\nname: Slow\nvariables: {}\nprompt: " + "word " * 20)
    await choose(desktop, "slow")
    tried = 0
    async for _ in desktop.steps("run"):
        if desktop.prop(desktop.page.engineer.runner.stop, "interactive"):
            tried += 1
            await choose(desktop, "say")
            assert desktop.value(desktop.page.engineer.picker) == "slow"
            assert "A request is still running" in desktop.value(desktop.page.engineer.about)
            await desktop.fire("stop")
    assert tried


async def test_a_chat_remembers_its_turns_until_a_new_one_begins(desktop: Desktop) -> None:
    await choose(desktop, "chat")
    runner = desktop.page.engineer.runner
    assert desktop.prop(runner.new_chat, "visible") is True
    await desktop.fire("run")
    desktop.set(fields(desktop)[0], "and then?")
    await desktop.fire("run")
    newest, oldest = await desktop.place.rows()
    assert [turn in newest.input for turn in ('"hello"', '"and then?"')] == [True, True]
    assert newest.session_id == oldest.session_id is not None
    shown = desktop.value(runner.pane.chat)
    assert shown.count("turn-user") == shown.count("turn-assistant") == 2
    await desktop.fire("new_chat")
    assert "No messages yet" in desktop.value(runner.pane.chat)
    await desktop.fire("run")
    assert (await desktop.place.rows())[0].session_id != newest.session_id


async def test_stars_and_comment_are_saved_at_once(desktop: Desktop) -> None:
    await desktop.fire("run")
    pane = desktop.page.engineer.runner.pane
    desktop.set(pane.stars, 4)
    await desktop.fire("rate")
    desktop.set(pane.comment, "fine")
    await desktop.fire("comment")
    assert "Saved" in desktop.value(pane.note)
    row = await desktop.place.row()
    entry = await desktop.place.orchestrator.history.entry(row.request_id, desktop.who)
    assert (entry.stars, entry.comment) == (4, "fine")
    colleague = principal("boss", "admin")
    await desktop.place.orchestrator.feedback.rate(row.request_id, 2, colleague)
    await desktop.fire("comment")
    for part in (desktop.who.id, "fine", colleague.id, "2 stars"):
        assert part in desktop.value(pane.ratings), part
    desktop.set(pane.stars, 0)
    await desktop.fire("rate")
    assert (await desktop.place.orchestrator.history.entry(row.request_id, desktop.who)).stars is None


@pytest.mark.parametrize("stars", [6, -1, 2.5, "5", True, [5], {"a": 1}])
async def test_stars_that_there_are_not_are_refused(desktop: Desktop, stars: Any) -> None:
    await desktop.fire("run")
    desktop.set(desktop.page.engineer.runner.pane.stars, stars)
    with pytest.raises(HerdingError, match="Select 1 to 5 stars"):
        await desktop.fire("rate")


async def test_the_model_picker_offers_what_is_up(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    runner = desktop.page.engineer.runner
    assert desktop.prop(runner.model, "choices") == [("Auto", ""), ("echo · echo", "echo")]
    assert desktop.prop(runner.note, "visible") is False
    desktop.place.write("lonely", "name: Lonely\ntarget_models: [new/model]\nvariables: {}\nprompt: hi\n")
    await choose(desktop, "lonely")
    assert "No target model is available" in desktop.value(runner.note)
    desktop.place.herd["other"].serving = ("new/model",)  # type: ignore[attr-defined]
    await desktop.fire("follow")
    assert desktop.prop(runner.model, "choices") == [("Auto", ""), ("new/model · other", "new/model")]
    assert desktop.prop(runner.note, "visible") is False


async def test_broken_files_are_told_with_their_place(desktop: Desktop) -> None:
    (desktop.place.prompts / "bad.yaml").write_text("name: Bad\ntarget_models: [x]\npromt: typo\n", encoding="utf-8")
    await choose(desktop, "say")
    told = desktop.value(desktop.page.engineer.load_errors)
    assert "bad.yaml, line 3, key promt" in told


async def test_a_workbench_without_prompts_says_what_to_do(desktop: Desktop) -> None:
    for path in desktop.place.prompts.glob("*.yaml"):
        path.unlink()
    await desktop.fire("page_load")
    assert "No prompts yet" in desktop.value(desktop.page.engineer.about)
    assert desktop.prop(desktop.page.engineer.runner.run, "interactive") is False


async def test_a_page_that_is_older_than_the_app_says_so_and_mends_itself(desktop: Desktop) -> None:
    await choose(desktop, "varied")
    desktop.set(desktop.page.engineer.session, SessionState())
    await desktop.fire("run")
    assert "Reload it" in desktop.value(desktop.page.engineer.runner.pane.error)
    await desktop.fire("rate")
    assert "History" in desktop.value(desktop.page.engineer.runner.pane.note)
    await choose(desktop, "say")
    assert labels(desktop) == ["text"]
    await desktop.fire("run")
    assert desktop.value(desktop.page.engineer.runner.pane.text) == "one two three"
