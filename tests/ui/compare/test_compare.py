"""The tab where prompts, versions and models answer the same inputs side by side."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from herding.access.operations import RATE
from herding.errors import AccessError, UserError
from herding.prompts.edits import Edits
from herding.ui.compare.column import ColumnPane
from herding.ui.compare.state import DRAFT, LETTERS, CompareState
from herding.values import Outcome
from tests.support.herding import ADMIN, GUEST
from tests.ui.conftest import HOSTILE_TEXT, Desktop


async def opened(desktop: Desktop, prompt: str = "say", columns: int = 2) -> list[ColumnPane]:
    """The tab with a prompt and so many columns."""
    await desktop.fire("compare", prompt=prompt)
    for _ in range(columns - 2):
        await desktop.fire("compare_add")
    return desktop.page.compare.columns


def state(desktop: Desktop) -> CompareState:
    held: CompareState = desktop.value(desktop.page.compare.state)
    return held


async def put(desktop: Desktop, component: Any, value: Any) -> None:
    """A person chooses something in a column."""
    desktop.set(component, value)
    await desktop.fire("compare_models")


def seen(desktop: Desktop) -> list[str]:
    """The letters of the columns that are there."""
    return [column.letter for column in desktop.page.compare.columns if desktop.prop(column.box, "visible")]


def choices(desktop: Desktop, component: Any) -> list[str]:
    return [value for _, value in desktop.prop(component, "choices")]


async def rows(desktop: Desktop) -> list[Outcome]:
    return await desktop.place.rows()


async def test_it_opens_with_the_prompt_of_the_address_and_two_columns(desktop: Desktop) -> None:
    await opened(desktop, "varied")
    compare = desktop.page.compare
    assert desktop.value(compare.picker) == "varied"
    assert [desktop.value(column.prompt) for column in compare.columns[:2]] == ["varied", "varied"]
    assert seen(desktop) == ["A", "B"]
    assert desktop.prop(compare.columns[0].temperature, "placeholder") == "0.5"
    assert "No response yet" in desktop.value(compare.columns[0].status)
    assert "Nothing to compare yet" in desktop.value(compare.diff.diff)
    assert "No runs yet" in desktop.value(compare.summary)


async def test_columns_come_and_go_up_to_six(desktop: Desktop) -> None:
    columns = await opened(desktop, columns=6)
    assert seen(desktop) == list(LETTERS)
    assert desktop.prop(desktop.page.compare.add, "interactive") is False
    await desktop.fire("compare_add")
    await desktop.fire("compare_remove_1")
    assert seen(desktop) == ["A", "C", "D", "E", "F"]
    assert desktop.prop(desktop.page.compare.add, "interactive") is True
    await put(desktop, columns[5].model, "echo")
    await desktop.fire("compare_add")
    assert seen(desktop) == list(LETTERS)
    assert desktop.value(columns[1].model) == "echo"


async def test_every_column_is_a_request_of_its_own_and_has_its_row(desktop: Desktop) -> None:
    columns = await opened(desktop, "varied", 3)
    fields = desktop.page.compare.form.components
    desktop.set(fields[0], "900")
    desktop.set(columns[1].temperature, 1.5)
    desktop.set(columns[2].max_tokens, 1)
    await desktop.fire("compare_run")
    found = {(row.parameters.temperature, row.parameters.max_tokens): row for row in await rows(desktop)}
    assert set(found) == {(0.5, 50), (1.5, 50), (0.5, 1)}
    assert [desktop.value(column.text) for column in columns[:3]] == ["near 900 kind", "near 900 kind", "near"]
    for column in columns[:3]:
        assert "Succeeded" in desktop.value(column.status)
        assert "Output tokens" in desktop.value(column.metrics)
    assert "3 of 3 columns succeeded" in desktop.value(desktop.page.compare.note)
    assert desktop.value(desktop.page.compare.summary).count("<tr>") == 4


async def test_a_column_that_fails_leaves_the_others_alone(desktop: Desktop) -> None:
    desktop.place.write(
        "failing2", "name: F\ntarget_models: [broken/model]\nvariables: {text: {type: text}}\nprompt: x\n"
    )
    columns = await opened(desktop, "say", 4)
    await put(desktop, columns[0].prompt, "failing2")
    desktop.set(columns[2].temperature, 9)
    await desktop.fire("compare_run")
    assert desktop.value(columns[0].text) == "half "
    assert "Too slow: &lt;img" in desktop.value(columns[0].problem)
    assert "Incomplete" in desktop.value(columns[0].status) or "Failed" in desktop.value(columns[0].status)
    assert "temperature" in desktop.value(columns[2].problem)
    assert "Not sent" in desktop.value(columns[2].status)
    for column in (columns[1], columns[3]):
        assert desktop.value(column.text) == "one two three"
        assert desktop.value(column.problem) == ""
    assert len(await rows(desktop)) == 3
    assert desktop.prop(desktop.page.compare.run, "interactive") is True


async def test_stop_ends_all_columns(desktop: Desktop) -> None:
    desktop.place.write(
        "slow", "name: Slow\ntarget_models: [slow/model]\nvariables: {text: {type: text}}\nprompt: '{{text}}'\n"
    )
    columns = await opened(desktop, "slow", 3)
    desktop.set(desktop.page.compare.form.components[0], "word " * 200)
    steps = desktop.steps("compare_run")
    await anext(steps)
    assert desktop.prop(desktop.page.compare.stop, "interactive") is True
    await desktop.fire("compare_stop")
    async for _ in steps:
        pass
    assert {row.status for row in await rows(desktop)} == {"cancelled"}
    assert len(await rows(desktop)) == 3
    assert all("Stopped" in desktop.value(column.status) for column in columns[:3])
    assert "1 (1 unsuccessful)" in desktop.value(desktop.page.compare.summary)


async def test_closing_the_page_abandons_all_columns(desktop: Desktop) -> None:
    desktop.place.write(
        "slow", "name: Slow\ntarget_models: [slow/model]\nvariables: {text: {type: text}}\nprompt: '{{text}}'\n"
    )
    await opened(desktop, "slow", 3)
    desktop.set(desktop.page.compare.form.components[0], "word " * 200)
    event = desktop.event("compare_run")
    given = [desktop.value(component) for component in event.inputs]
    steps = event.fn(*given[:4], desktop.request(), *given[4:])
    for _ in range(4):
        await anext(steps)
    await steps.aclose()
    assert [row.status for row in await rows(desktop)] == ["abandoned"] * 3
    assert state(desktop).running is False


async def test_stars_are_given_to_each_column(desktop: Desktop) -> None:
    columns = await opened(desktop)
    await desktop.fire("compare_run")
    desktop.set(columns[1].stars, 4)
    await desktop.fire("compare_rate_1")
    outcomes = [column.outcome for column in state(desktop).columns[:2]]
    entries = [await desktop.place.orchestrator.history.entry(o.request_id, desktop.who) for o in outcomes if o]
    assert [entry.stars for entry in entries] == [None, 4]
    assert "Saved" in desktop.value(columns[1].note)
    await desktop.fire("compare_rate_4")
    assert "no longer on this page" in desktop.value(columns[4].note)


async def test_a_column_may_run_another_prompt_that_takes_the_same_inputs(desktop: Desktop) -> None:
    desktop.place.write(
        "shout", "name: Shout\ntarget_models: [echo]\nvariables: {text: {type: text}}\nprompt: 'loud {{text}}'\n"
    )
    columns = await opened(desktop)
    assert {"say", "shout"} <= set(choices(desktop, columns[0].prompt))
    assert "varied" not in choices(desktop, columns[0].prompt)
    await put(desktop, columns[1].prompt, "shout")
    await desktop.fire("compare_run")
    assert [desktop.value(column.text) for column in columns[:2]] == ["one two three", "loud one two three"]
    await desktop.fire("compare", prompt="ignored")
    assert desktop.value(columns[1].prompt) == "shout"
    assert desktop.value(columns[1].text) == "loud one two three"


async def test_another_prompt_keeps_what_was_typed_for_the_one_before(desktop: Desktop) -> None:
    columns = await opened(desktop)
    compare = desktop.page.compare
    desktop.set(compare.form.components[0], "mine")
    await desktop.fire("compare_run")
    desktop.set(compare.picker, "varied")
    await desktop.fire("compare_choose")
    assert desktop.value(compare.form.components[0]) == "1200"
    assert desktop.value(columns[0].text) == ""
    desktop.set(compare.picker, "say")
    await desktop.fire("compare_choose")
    assert desktop.value(compare.form.components[0]) == "mine"


async def test_a_page_that_the_session_does_not_know_is_not_run(desktop: Desktop) -> None:
    await opened(desktop)
    desktop.set(desktop.page.compare.owner, "varied")
    with pytest.raises(UserError, match="Reload it"):
        await desktop.fire("compare_run")
    assert await rows(desktop) == []
    assert state(desktop).running is False


async def test_old_versions_run_beside_the_served_one(desktop: Desktop) -> None:
    desktop.place.write(
        "say",
        "name: Say\ntarget_models: [echo]\nvariables: {text: {type: text, default: x}}\nprompt: 'first {{text}}'\n",
    )
    await desktop.fire("compare", prompt="say")
    desktop.place.write(
        "say",
        "name: Say\ntarget_models: [echo]\nvariables: {text: {type: text, default: x}}\nprompt: 'second {{text}}'\n",
    )
    columns = await opened(desktop)
    offered = choices(desktop, columns[0].version)
    newest = state(desktop).columns[0]
    assert newest.config.version == ""
    assert len([number for number in offered if number.isdigit()]) >= 2
    await put(desktop, columns[1].version, sorted(number for number in offered if number.isdigit())[-2])
    await desktop.fire("compare_run")
    assert [str(desktop.value(column.text)).split()[0] for column in columns[:2]] == ["second", "first"]
    await desktop.fire("compare_use_1")
    kept = await desktop.place.orchestrator.drafts.get("say", ADMIN)
    assert kept is not None
    assert "first {{text}}" in str(kept.edits.template)
    with pytest.raises(UserError, match="live version"):
        await desktop.fire("compare_use_1", who=GUEST)


async def test_a_column_goes_to_the_first_tab_with_all_that_it_is(desktop: Desktop) -> None:
    columns = await opened(desktop, "varied")
    compare = desktop.page.compare
    desktop.set(compare.form.components[0], "900")
    await put(desktop, columns[1].model, "echo")
    desktop.set(columns[1].max_tokens, 7)
    await desktop.fire("compare_use_1")
    kept = await desktop.place.orchestrator.drafts.get("varied", ADMIN)
    assert kept is not None
    assert (kept.edits.variables["error"], kept.edits.parameters) == ("900", {"max_tokens": 7})


async def test_what_prompts_and_models_write_stays_text(desktop: Desktop) -> None:
    compare = desktop.page.compare
    await opened(desktop, "hostile")
    await desktop.fire("compare_run")
    assert "Succeeded" in desktop.value(compare.columns[0].status)
    desktop.set(compare.picker, "say")
    await desktop.fire("compare_choose")
    desktop.set(compare.form.components[0], HOSTILE_TEXT)
    await desktop.fire("compare_run")
    for part in (compare.about, compare.summary, compare.diff.diff, *(column.status for column in compare.columns)):
        assert "<script" not in str(desktop.value(part))
        assert "<img" not in str(desktop.value(part))
    assert desktop.value(compare.columns[0].text) == HOSTILE_TEXT


async def test_what_comes_late_after_another_prompt_was_chosen_changes_nothing(desktop: Desktop) -> None:
    columns = await opened(desktop)
    desktop.set(desktop.page.compare.owner, "varied")
    await put(desktop, columns[0].model, "echo")
    assert state(desktop).columns[0].config.model == ""


async def test_columns_run_at_the_same_time(desktop: Desktop) -> None:
    """All of them are on their way before the first one ends."""
    desktop.place.write(
        "slow", "name: Slow\ntarget_models: [slow/model]\nvariables: {text: {type: text}}\nprompt: '{{text}}'\n"
    )
    columns = await opened(desktop, "slow", 4)
    desktop.set(desktop.page.compare.form.components[0], " ".join("a" * 40))
    together = False
    async for _ in desktop.steps("compare_run"):
        texts = [str(desktop.value(column.text)) for column in columns[:4]]
        together |= all(0 < len(text) < 79 for text in texts)
        await asyncio.sleep(0)
    assert together
    assert len(await rows(desktop)) == 4


async def ran(desktop: Desktop, prompt: str = "say") -> list[str]:
    """Two columns with their answers; the ids of their requests."""
    await opened(desktop, prompt)
    await desktop.fire("compare_run")
    return [column.outcome.request_id for column in state(desktop).columns[:2] if column.outcome]


async def test_one_answer_is_said_to_be_better_and_that_is_kept(desktop: Desktop) -> None:
    diff = desktop.page.compare.diff
    pane, feedback = diff.preference, desktop.place.orchestrator.feedback
    await opened(desktop)
    assert not any(desktop.prop(button, "interactive") for button in pane.buttons)
    one, two = await ran(desktop)
    assert [desktop.prop(button, "interactive") for button in pane.buttons] == [True, True, True, False]
    assert desktop.value(pane.right) == "B is better"
    for name, told, better in (("right", "B is better than A", two), ("left", "A is better than B", one)):
        await desktop.fire(f"compare_prefer_{name}")
        said = await feedback.preference(one, two, desktop.who)
        assert said is not None
        assert (said.better, said.equal) == (better, False)
        assert told in desktop.value(pane.note)
        assert desktop.prop(getattr(pane, name), "variant") == "primary"
    assert desktop.prop(pane.right, "variant") == "secondary"
    desktop.set(diff.left, "B")
    desktop.set(diff.right, "A")
    await desktop.fire("compare_diff")
    assert "A is better than B" in desktop.value(pane.note)
    assert desktop.value(pane.left) == "B is better"
    assert desktop.prop(pane.right, "variant") == "primary"
    await desktop.fire("compare_prefer_equal")
    assert "B and A are equal" in desktop.value(pane.note)
    await desktop.fire("compare_prefer_nothing")
    assert await feedback.preference(one, two, desktop.who) is None
    assert "Which response is better?" in desktop.value(pane.note)
    assert desktop.prop(pane.clear, "interactive") is False


async def test_a_new_run_has_no_verdict_yet_and_an_old_one_is_not_judged_meanwhile(desktop: Desktop) -> None:
    pane = desktop.page.compare.diff.preference
    one, two = await ran(desktop)
    await desktop.fire("compare_prefer_left")
    steps = desktop.steps("compare_run")
    await anext(steps)
    assert not any(desktop.prop(button, "interactive") for button in pane.buttons)
    await desktop.fire("compare_prefer_right")
    assert "no longer on this page" in desktop.value(pane.note)
    async for _ in steps:
        pass
    assert "Which response is better?" in desktop.value(pane.note)
    said = await desktop.place.orchestrator.feedback.preference(one, two, desktop.who)
    assert said is not None
    assert said.better == one


async def test_whoever_may_not_rate_is_not_asked_which_is_better(desktop: Desktop) -> None:
    pane = desktop.page.compare.diff.preference
    desktop.who = replace(GUEST, rights=GUEST.rights - {RATE})
    await ran(desktop)
    assert desktop.prop(pane.box, "visible") is False
    with pytest.raises(AccessError):
        await desktop.fire("compare_prefer_left")


async def test_one_runs_ones_own_draft_beside_what_is_saved(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    columns = await opened(desktop)
    assert DRAFT not in choices(desktop, columns[0].version)
    await drafts.store("say", Edits(template="prompt: 'drafted {{text}}'", parameters={"max_tokens": 2}), desktop.who)
    await desktop.fire("compare")
    assert DRAFT in choices(desktop, columns[1].version)
    await put(desktop, columns[1].version, DRAFT)
    assert desktop.prop(columns[1].max_tokens, "placeholder") == "2"
    await desktop.fire("compare_run")
    assert [desktop.value(column.text) for column in columns[:2]] == ["one two three", "drafted one"]
    assert {row.edited for row in await rows(desktop)} == {True, False}
    desktop.set(columns[1].max_tokens, 3)
    await desktop.fire("compare_run")
    assert desktop.value(columns[1].text) == "drafted one two"
    await desktop.fire("compare_use_1")
    kept = await drafts.get("say", desktop.who)
    assert kept is not None
    assert "drafted {{text}}" in str(kept.edits.template)
    assert kept.edits.parameters == {"max_tokens": 3}
    await drafts.discard("say", desktop.who)
    await desktop.fire("compare_run")
    assert "Your draft of &#x27;say&#x27; no longer exists" in desktop.value(columns[1].problem).replace(
        "&#39;", "&#x27;"
    )
    await desktop.fire("compare")
    assert desktop.value(columns[1].version) == ""


async def test_a_whole_draft_runs_with_the_inputs_that_it_knows(desktop: Desktop) -> None:
    whole = "name: Say\ntarget_models: [echo]\nvariables: {more: {type: text, default: all}}\nprompt: 'new {{more}}'\n"
    await desktop.place.orchestrator.drafts.store("say", Edits(whole=whole), desktop.who)
    columns = await opened(desktop)
    await put(desktop, columns[0].version, DRAFT)
    await desktop.fire("compare_run")
    assert [desktop.value(column.text) for column in columns[:2]] == ["new all", "one two three"]


async def test_a_column_becomes_the_draft_and_is_kept_as_such(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    text = "name: Say\ntarget_models: [echo]\nvariables: {{text: {{type: text}}}}\nprompt: '{} {{{{text}}}}'\n"
    desktop.place.write("say", text.format("first") + "parameters: {temperature: 0.1, max_tokens: 9}\n")
    await desktop.fire("compare", prompt="say")
    desktop.place.write("say", text.format("second") + "parameters: {temperature: 0.2, max_tokens: 9}\n")
    columns = await opened(desktop)
    number = max(int(held) for held in choices(desktop, columns[0].version) if held.isdigit()) - 1
    await put(desktop, columns[1].version, str(number))
    desktop.set(desktop.page.compare.form.components[0], "typed")
    await drafts.store("say", Edits(template="prompt: older"), desktop.who, base=1)
    await desktop.fire("compare_use_1")
    kept = await drafts.get("say", desktop.who)
    assert kept is not None
    assert kept.base == number + 1
    assert "prompt: older" in [step.edits.template for step in await drafts.steps("say", desktop.who)]
    assert "first {{text}}" in str(kept.edits.template)
    assert (kept.edits.parameters, kept.edits.variables) == ({"temperature": 0.1}, {"text": "typed"})


async def test_a_version_with_other_checks_becomes_a_whole_draft(desktop: Desktop) -> None:
    drafts, plain = desktop.place.orchestrator.drafts, "name: Say\ntarget_models: [echo]\nprompt: hi\n"
    desktop.place.write("say", plain + "checks: {max_words: 5}\nparameters: {temperature: 0.5}\n")
    await desktop.fire("compare", prompt="say")
    desktop.place.write("say", plain)
    columns = await opened(desktop)
    number = max(int(held) for held in choices(desktop, columns[0].version) if held.isdigit()) - 1
    await put(desktop, columns[0].version, str(number))
    await desktop.fire("compare_use_0")
    kept = await drafts.get("say", desktop.who)
    assert kept is not None
    assert "max_words: 5" in str(kept.edits.whole)
    assert "temperature: 0.5" in str(kept.edits.whole)
