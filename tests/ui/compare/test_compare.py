"""The tab where prompts, versions and models respond to the same inputs side by side."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from starlette.datastructures import FormData, QueryParams

from herding.access.operations import RATE
from herding.errors import AccessError, NotFoundError, UserError
from herding.prompts.edits import Edits
from herding.ui.compare.columns import DRAFT
from herding.ui.compare.tab import CompareTab
from herding.ui.kit.views import Call
from herding.values import Outcome, Parameters, Request
from tests.support.herding import ADMIN, GUEST
from tests.ui.compare.pages import Board, opened
from tests.ui.conftest import HOSTILE_TEXT, Desktop

SLOW = "name: Slow\ntarget_models: [slow/model]\nvariables: {text: {type: text}}\nprompt: '{{text}}'\n"
TEXT = "name: Say\ntarget_models: [echo]\nvariables: {{text: {{type: text, default: x}}}}\nprompt: '{} {{{{text}}}}'\n"


async def rows(desktop: Desktop) -> list[Outcome]:
    return await desktop.place.rows()


async def entry(desktop: Desktop, request_id: str) -> Any:
    return await desktop.place.orchestrator.history.entry(request_id, desktop.who)


async def test_it_opens_with_the_prompt_of_the_address_and_two_columns(desktop: Desktop) -> None:
    board = await opened(desktop, "varied")
    assert board.letters == ["a", "b"]
    assert [board[f"{letter}.prompt"] for letter in "ab"] == ["varied", "varied"]
    assert 'placeholder="0.5"' in board
    assert board.html.count("No response yet") == 2
    assert "error: 1200 · tone: kind" in board
    assert "v1 live · Auto" in board


async def test_models_that_respond_are_what_the_first_columns_differ_in(desktop: Desktop) -> None:
    desktop.place.write("two", SLOW.replace("[slow/model]", "[nowhere/model, slow/model, echo]"))
    board = await opened(desktop, "two")
    assert [board[f"{letter}.model"] for letter in "ab"] == ["slow/model", "echo"]
    assert "nowhere/model" in board.options("a.model")


async def test_columns_come_and_go_up_to_six(desktop: Desktop) -> None:
    board = await opened(desktop, columns=6)
    assert board.letters == list("abcdef")
    with pytest.raises(UserError, match="at most 6 columns"):
        await board.add()
    await board.remove("b")
    assert board.letters == list("acdef")
    await board.edit("f.model", "echo")
    await board.add()
    assert board.letters == list("acdefb")
    assert board["b.model"] == "echo"
    assert len(json.loads(board.address["columns"])) == 6 or board.address["columns"]


async def test_every_column_is_a_request_of_its_own_and_has_its_row(desktop: Desktop) -> None:
    board = await opened(desktop, "varied", columns=3)
    for name, value in {"var.error": "900", "b.param.temperature": "1.5", "c.param.max_tokens": "1"}.items():
        await board.edit(name, value)
    await board.run()
    found = {(row.parameters.temperature, row.parameters.max_tokens): row for row in await rows(desktop)}
    assert set(found) == {(0.5, 50), (1.5, 50), (0.5, 1)}
    assert [board.text(letter) for letter in "abc"] == ["near 900 kind", "near 900 kind", "near"]
    for letter in "abc":
        assert "Succeeded" in board.shown[f"{letter}.status"]
        assert "tokens" in board.shown[f"{letter}.status"]
        assert board.shown[f"{letter}.status"].count(" ms</span>") >= 1
    finished: Any = board.shown["finished"]
    assert finished["note"] == "3 of 3 columns succeeded."
    assert finished["summary"].count("<tr>") == 4
    assert board.shown["compare-b-line"].count("temperature 1.5") == 2


async def test_the_address_brings_columns_and_responses_back(desktop: Desktop) -> None:
    board = await opened(desktop, "varied")
    await board.edit("b.param.temperature", "1.5")
    await board.edit("var.error", "900")
    await board.run()
    again = await reopened(board)
    assert again["b.param.temperature"] == "1.5"
    assert again["var.error"] == "900"
    assert [again.request(letter) for letter in "ab"] == [board.request(letter) for letter in "ab"]
    assert again.html.count("near 900 kind") >= 2
    assert "Which response is better?" in again


async def test_a_column_that_fails_leaves_the_others_alone(desktop: Desktop) -> None:
    desktop.place.write(
        "failing2", "name: F\ntarget_models: [broken/model]\nvariables: {text: {type: text}}\nprompt: x\n"
    )
    board = await opened(desktop, "say", columns=4)
    await board.edit("a.prompt", "failing2")
    for name, value in {"c.param.temperature": "9", "d.param.max_tokens": "many"}.items():
        await board.edit(name, value)
    await board.run()
    assert board.text("a").strip() == "half"
    assert "Too slow: &lt;img" in board.shown["a.done"]
    assert "Incomplete" in board.shown["a.status"]
    for letter, name in (("c", "temperature"), ("d", "max_tokens")):
        assert name in board.shown[f"{letter}.done"]
        assert "Not sent" in board.shown[f"{letter}.status"]
    assert board.text("b") == "one two three"
    assert len(await rows(desktop)) == 2


async def test_an_input_with_an_error_is_told_once_and_nothing_runs(desktop: Desktop) -> None:
    board = await opened(desktop, "varied")
    await board.edit("var.error", "a lot")
    events = await board.run()
    assert [name for name, _ in events] == ["errors"]
    assert "number" in events[0][1]["error"]
    desktop.place.write("slow", SLOW)
    assert (await (await opened(desktop, "slow")).run())[0] == ("errors", {"text": "Enter a value for text."})
    assert await rows(desktop) == []


async def stream(board: Board) -> Any:
    """The events of a run as they come, from the route itself."""
    pairs = [(name, value) for name, values in board.fields.items() for value in values]
    tab = board.desktop.page.get(CompareTab)
    return tab.run(Call(board.who or board.desktop.who, {}, QueryParams(), FormData(pairs)))


async def slow(desktop: Desktop, columns: int, words: int = 200) -> Board:
    desktop.place.write("slow", SLOW)
    board = await opened(desktop, "slow", columns=columns)
    await board.edit("var.text", "word " * words)
    return board


async def test_stop_ends_all_columns(desktop: Desktop) -> None:
    board, started, statuses = await slow(desktop, 3), [], {}
    async for name, data in await stream(board):
        if name.endswith(".started"):
            started.append(data)
            if len(started) == 3:
                await desktop.post("compare/stop", request=[*started, "none"])
        statuses |= {name: data} if name.endswith(".status") else {}
    assert [row.status for row in await rows(desktop)] == ["cancelled"] * 3
    assert all("Stopped" in status for status in statuses.values())
    assert len(statuses) == 3


async def test_closing_the_page_abandons_all_columns(desktop: Desktop) -> None:
    events, texts = await stream(await slow(desktop, 3)), set()
    async for name, _ in events:
        texts |= {name} if name.endswith(".text") else set()
        if len(texts) == 3:
            break
    await events.aclose()
    assert [row.status for row in await rows(desktop)] == ["abandoned"] * 3


async def test_columns_run_at_the_same_time(desktop: Desktop) -> None:
    """All of them are on their way before the first one ends."""
    names = [name async for name, _ in await stream(await slow(desktop, 4, words=8))]
    first_done = next(place for place, name in enumerate(names) if name.endswith(".done"))
    assert {name for name in names[:first_done] if name.endswith(".text")} == {f"{letter}.text" for letter in "abcd"}
    assert len(await rows(desktop)) == 4


async def test_stars_are_given_to_each_column(desktop: Desktop) -> None:
    board = await opened(desktop)
    await board.run()
    assert "Rating saved" in await board.press(f"rate/{board.request('b')}", stars="4")
    assert [(await entry(desktop, board.request(letter))).stars for letter in "ab"] == [None, 4]
    with pytest.raises(UserError, match="1 to 5"):
        await board.press(f"rate/{board.request('b')}", stars="6")
    with pytest.raises(NotFoundError):
        await board.press("rate/none", stars="1")


async def test_a_column_may_run_another_prompt_that_takes_the_same_inputs(desktop: Desktop) -> None:
    desktop.place.write(
        "shout", "name: Shout\ntarget_models: [echo]\nvariables: {text: {type: text}}\nprompt: 'loud {{text}}'\n"
    )
    board = await opened(desktop)
    assert {"say", "shout"} <= set(board.options("a.prompt"))
    assert "varied" not in board.options("a.prompt")
    pieces = await board.edit("b.prompt", "shout")
    assert "Shout · v1 live" in pieces["compare-b-line"]
    await board.run()
    assert [board.text(letter) for letter in "ab"] == ["one two three", "loud one two three"]
    again = await reopened(board)
    assert again["b.prompt"] == "shout"


async def test_what_is_typed_is_in_the_draft_of_the_prompt_and_comes_back(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    await drafts.store("say", Edits(template="prompt: 'mine {{text}}'", variables={"gone": "1"}), desktop.who)
    board = await opened(desktop)
    await board.edit("var.text", "typed")
    kept = await drafts.get("say", desktop.who)
    assert kept is not None
    assert kept.edits == Edits({"gone": "1", "text": "typed"}, "prompt: 'mine {{text}}'")
    await opened(desktop, "varied")
    again = await opened(desktop)
    assert again["var.text"] == "typed"
    await drafts.store("say", replace(kept.edits, variables={"text": "from the editor"}), desktop.who)
    await again.changed("shown")
    assert again["var.text"] == "from the editor"


async def test_inputs_of_users_who_opted_out_are_not_stored(desktop: Desktop) -> None:
    desktop.who = replace(ADMIN, opt_out=True)
    board = await opened(desktop)
    await board.edit("var.text", "typed")
    assert await desktop.place.orchestrator.drafts.get("say", desktop.who) is None
    await board.changed("shown")
    assert board["var.text"] == "typed"
    await board.run()
    assert board.text("a") == "typed"


async def test_a_page_with_unknown_columns_or_prompts_is_not_run(desktop: Desktop) -> None:
    board = await opened(desktop)
    for name, value in (("column", "z"), ("prompt", "gone")):
        before = board.fields[name]
        board.fields[name] = [value]
        assert [name for name, _ in await board.run()] == ["failed"]
        board.fields[name] = before
    assert await rows(desktop) == []


async def test_old_versions_run_beside_the_live_one(desktop: Desktop) -> None:
    desktop.place.write("say", TEXT.format("first"))
    await opened(desktop)
    desktop.place.write("say", TEXT.format("second"))
    board = await opened(desktop)
    numbers = sorted(number for number in board.options("a.version") if number.isdigit())
    assert len(numbers) >= 2
    await board.edit("b.version", numbers[-2])
    await board.run()
    assert [board.text(letter).split()[0] for letter in "ab"] == ["second", "first"]
    await board.press("use/b")
    kept = await desktop.place.orchestrator.drafts.get("say", ADMIN)
    assert kept is not None
    assert "first {{text}}" in str(kept.edits.template)
    board.who = GUEST
    with pytest.raises(UserError, match="live version"):
        await board.press("use/b")
    pair = await opened(desktop, old=numbers[-2], new=numbers[-1])
    assert [pair[f"{letter}.version"] for letter in "ab"] == [numbers[-2], ""]
    assert pair.address["old"] == ""
    assert numbers[-2] in pair.address["columns"]


async def test_a_column_goes_to_the_prompt_engineer_with_all_that_it_is(desktop: Desktop) -> None:
    board = await opened(desktop, "varied")
    for name, value in {"var.error": "900", "b.model": "echo", "b.param.max_tokens": "7"}.items():
        await board.edit(name, value)
    told = (await board.press("use/b")).told
    assert told["open-tab"] == {"tab": "engineer", "fields": {"prompt": "varied", "model": "echo"}}
    kept = await desktop.place.orchestrator.drafts.get("varied", ADMIN)
    assert kept is not None
    assert (kept.edits.variables, kept.edits.parameters) == ({"error": "900"}, {"max_tokens": 7})


# Replay


async def test_a_past_response_is_a_fixed_column_beside_a_new_run(desktop: Desktop) -> None:
    ran = await desktop.place.orchestrator.pipeline.run(Request("say", {"text": "a b"}), ADMIN)
    board = await opened(desktop, request=ran.request_id)
    past = re.search(r'<article[^>]*id="compare-past".*?</article>', board.html, re.DOTALL)
    assert past
    assert ">a b<" in past[0]
    assert "v1 · echo" in past[0]
    assert board.letters == ["a"]
    assert board["var.text"] == "a b"
    assert board["a.model"] == "echo"
    assert "Same settings as the past run" in board
    assert 'id="compare-blind"' not in board
    pieces = await board.edit("a.param.temperature", "0.3")
    assert "<b>temperature</b> default → 0.3" in pieces["compare-a-differs"]
    pieces = await board.edit("a.model", "")
    assert "<b>model</b> echo → Auto" in pieces["compare-a-differs"]
    await board.run()
    assert board.text("a") == "a b"
    assert "Past response is better" in str(board.shown["finished"])
    await board.press("prefer", choice="a")
    said = await desktop.place.orchestrator.feedback.preference(ran.request_id, board.request("a"), ADMIN)
    assert said is not None
    assert said.better == board.request("a")
    assert await desktop.place.orchestrator.drafts.get("say", ADMIN) is None
    pieces = await board.edit("var.text", "c")
    assert "text changed" in pieces["compare-input-note"]
    with pytest.raises(NotFoundError):
        await board.desktop.post("compare/edit", who=GUEST, **board.fields, changed="var.text")
    refused = await opened(desktop, request=ran.request_id, who=GUEST)
    assert "replay this request" in refused
    assert 'id="compare-past"' not in refused


async def test_a_replay_differs_in_the_version_or_else_the_model(desktop: Desktop) -> None:
    desktop.place.write("say", TEXT.format("first").replace("[echo]", "[echo, slow/model]"))
    ran = await desktop.place.orchestrator.pipeline.run(Request("say", model="echo"), ADMIN)
    board = await opened(desktop, request=ran.request_id)
    assert (board["a.version"], board["a.model"]) == ("", "slow/model")
    assert "<b>model</b> echo → slow/model" in board
    desktop.place.write("say", TEXT.format("second").replace("[echo]", "[echo, slow/model]"))
    board = await opened(desktop, request=ran.request_id)
    assert (board["a.version"], board["a.model"]) == ("", "echo")
    assert f"<b>version</b> v{ran.version} → v{ran.version + 1}" in board


async def test_a_replay_keeps_every_parameter(desktop: Desktop) -> None:
    own = Parameters(temperature=0.9, top_p=0.3, top_k=7, max_tokens=9, stop=("\n", "END"), seed=5)
    ran = await desktop.place.orchestrator.pipeline.run(Request("say", {"text": "a b"}, parameters=own), ADMIN)
    board = await opened(desktop, request=ran.request_id)
    assert "temperature 0.9, top_p 0.3, top_k 7, max_tokens 9, stop &#x27;\\n&#x27;, &#x27;END&#x27;, seed 5" in board
    await board.add()
    await board.edit("b.param.max_tokens", "8")
    await board.run()
    assert {row.parameters for row in (await rows(desktop))[:2]} == {own, replace(own, max_tokens=8)}
    assert "seed 5" in str(board.shown["finished"])
    await board.press("use/b")
    kept = await desktop.place.orchestrator.drafts.get("say", ADMIN)
    assert kept is not None
    assert kept.edits.parameters == {
        **{"temperature": 0.9, "max_tokens": 8},
        **{"top_p": 0.3, "top_k": 7, "seed": 5, "stop": ["\n", "END"]},
    }


async def test_a_request_without_texts_says_so(desktop: Desktop) -> None:
    ran = await desktop.place.orchestrator.pipeline.run(Request("say"), ADMIN)
    await desktop.place.accounts.forget([ran.request_id], ADMIN)
    assert "No content stored" in await opened(desktop, request=ran.request_id)


async def test_the_replay_of_an_edited_run_says_that_its_text_is_not_there(desktop: Desktop) -> None:
    pipeline = desktop.place.orchestrator.pipeline
    edited = await pipeline.run(Request("say", template="prompt: 'edited {{text}}'"), desktop.who)
    plain = await pipeline.run(Request("say"), desktop.who)
    for row, told in ((edited, True), (plain, False)):
        board = await opened(desktop, request=row.request_id)
        assert ("ran an unsaved edit" in board) is told
        assert (f"Column A runs the saved version {row.version} instead" in board) is told
    assert "(edited) →" in await opened(desktop, request=edited.request_id)


# Judging


async def ran(desktop: Desktop, **fields: str) -> Board:
    """Two columns with their responses."""
    board = await opened(desktop)
    for name, value in fields.items():
        board.fields[name] = [value]
    await board.run()
    return board


def pressed(html: str) -> list[str]:
    """The buttons of the preference that are pressed."""
    return re.findall(r'id="compare-\w+-(\w+)"[^>]*aria-pressed="true"', html)


async def test_one_response_is_said_to_be_better_and_that_is_kept(desktop: Desktop) -> None:
    feedback = desktop.place.orchestrator.feedback
    board = await ran(desktop)
    bar = str(board.shown["finished"])
    assert "Which response is better?" in bar
    assert "Clear choice" not in bar
    one, two = board.request("a"), board.request("b")
    for choice, told, better in (("b", "B is better than A", two), ("a", "A is better than B", one)):
        piece = await board.press("prefer", choice=choice)
        said = await feedback.preference(one, two, desktop.who)
        assert said is not None
        assert (said.better, said.equal) == (better, False)
        assert told in piece
        assert pressed(piece.html) == [choice]
        assert "Clear choice" in piece
    assert "A is better than B" in await reopened(board)
    assert "A and B are equal" in await board.press("prefer", choice="equal")
    piece = await board.press("prefer", choice="clear")
    assert await feedback.preference(one, two, desktop.who) is None
    assert "Which response is better?" in piece


async def test_the_best_of_several_and_the_better_of_any_two_are_kept(desktop: Desktop) -> None:
    board, feedback = await opened(desktop, columns=3), desktop.place.orchestrator.feedback
    await board.run()
    a, b, c = (board.request(letter) for letter in "abc")
    assert pressed((await board.press("prefer", choice="b")).html) == ["b"]
    for other in (a, c):
        said = await feedback.preference(b, other, desktop.who)
        assert said is not None
        assert said.better == b
    assert await feedback.preference(a, c, desktop.who) is None
    assert "C is better than A" in await board.press("prefer", choice="c", pair="a c")
    assert "all responses are equal" in await board.press("prefer", choice="equal")
    section = (await board.press("diff", letter="a", left="c", right="a")).html
    assert section == ""
    texts = {"text.a": "x", "text.b": "y", "text.c": "z y"}
    section = (await board.post("diff", **{**texts, "letter": ["a", "b", "c"], "left": "c", "right": "a"})).html  # type: ignore[arg-type]
    assert "C and A are equal" in section
    assert "2 words removed, 1 word added" in section


async def test_a_response_that_is_no_longer_there_is_not_judged(desktop: Desktop) -> None:
    board = await ran(desktop)
    del board.fields["b.request"]
    with pytest.raises(UserError, match="no longer on this page"):
        await board.press("prefer", choice="b")
    board.fields["b.request"] = ["none"]
    with pytest.raises(NotFoundError):
        await board.press("prefer", choice="b")


async def test_roles_that_may_not_rate_are_not_asked_which_is_better(desktop: Desktop) -> None:
    desktop.who = replace(GUEST, rights=GUEST.rights - {RATE})
    board = await ran(desktop, blind="on")
    assert board.shown["finished"]["prefer"] == ""  # type: ignore[index]
    assert "data-stars" not in board.shown["a.done"]
    assert "v1" in board.shown["a.done"]
    assert 'id="compare-blind"' not in board
    with pytest.raises(AccessError):
        await board.press("prefer", choice="a")


async def test_the_differences_of_two_responses_are_shown(desktop: Desktop) -> None:
    board = await opened(desktop)
    fields: dict[str, Any] = {"letter": ["a", "b"], "text.a": "one two", "text.b": "one 2 <img>"}
    section = (await board.post("diff", **fields)).html
    assert "1 word removed, 2 words added" in section
    assert "<img" not in section
    assert re.findall(r'<option value="(\w)" selected', section) == ["a", "b"]


# Drafts in columns


async def test_a_draft_runs_beside_what_is_saved(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    assert DRAFT not in (await opened(desktop)).options("a.version")
    await drafts.store("say", Edits(template="prompt: 'drafted {{text}}'", parameters={"max_tokens": 2}), desktop.who)
    board = await opened(desktop)
    assert DRAFT in board.options("b.version")
    pieces = await board.edit("b.version", DRAFT)
    assert 'placeholder="2"' in pieces["compare-b-fields"]
    assert "My draft" in pieces["compare-b-line"]
    await board.run()
    assert [board.text(letter) for letter in "ab"] == ["one two three", "drafted one"]
    assert {row.edited for row in await rows(desktop)} == {True, False}
    await board.edit("b.param.max_tokens", "3")
    await board.run()
    assert board.text("b") == "drafted one two"
    await board.press("use/b")
    kept = await drafts.get("say", desktop.who)
    assert kept is not None
    assert "drafted {{text}}" in str(kept.edits.template)
    assert kept.edits.parameters == {"max_tokens": 3}
    await drafts.discard("say", desktop.who)
    await board.changed("shown")
    assert board["b.version"] == ""
    assert DRAFT not in re.findall(r'value="([^"]*)"', board.shown["compare-b-fields"])


async def test_a_whole_draft_adds_its_inputs(desktop: Desktop) -> None:
    whole = "name: Say\ntarget_models: [echo]\nvariables: {more: {type: text, default: all}}\nprompt: 'new {{more}}'\n"
    await desktop.place.orchestrator.drafts.store("say", Edits(whole=whole), desktop.who)
    board = await opened(desktop)
    assert "var.more" not in board.fields
    await board.edit("a.version", DRAFT)
    assert board["var.more"] == "all"
    await board.edit("var.more", "typed")
    await board.run()
    assert [board.text(letter) for letter in "ab"] == ["new typed", "one two three"]


async def test_a_column_becomes_the_draft_and_is_kept_as_such(desktop: Desktop) -> None:
    drafts = desktop.place.orchestrator.drafts
    desktop.place.write("say", TEXT.format("first") + "parameters: {temperature: 0.1, max_tokens: 9}\n")
    await opened(desktop)
    desktop.place.write("say", TEXT.format("second") + "parameters: {temperature: 0.2, max_tokens: 9}\n")
    board = await opened(desktop)
    number = max(int(held) for held in board.options("a.version") if held.isdigit()) - 1
    await board.edit("b.version", str(number))
    board.fields["var.text"] = ["typed"]
    await drafts.store("say", Edits(template="prompt: older"), desktop.who, base=1)
    await board.press("use/b")
    kept = await drafts.get("say", desktop.who)
    assert kept is not None
    assert kept.base == number + 1
    assert "prompt: older" in [step.edits.template for step in await drafts.steps("say", desktop.who)]
    assert "first {{text}}" in str(kept.edits.template)
    assert (kept.edits.parameters, kept.edits.variables) == ({"temperature": 0.1}, {"text": "typed"})


async def test_a_version_with_other_checks_becomes_a_whole_draft(desktop: Desktop) -> None:
    drafts, plain = desktop.place.orchestrator.drafts, "name: Say\ntarget_models: [echo]\nprompt: hi\n"
    desktop.place.write("say", plain + "checks: {max_words: 5}\nparameters: {temperature: 0.5}\n")
    await opened(desktop)
    desktop.place.write("say", plain)
    board = await opened(desktop)
    number = max(int(held) for held in board.options("a.version") if held.isdigit()) - 1
    await board.edit("a.version", str(number))
    await board.press("use/a")
    kept = await drafts.get("say", desktop.who)
    assert kept is not None
    assert "max_words: 5" in str(kept.edits.whole)
    assert "temperature: 0.5" in str(kept.edits.whole)


async def test_what_prompts_and_models_write_stays_text(desktop: Desktop) -> None:
    hostile = await opened(desktop, "hostile")
    await hostile.run()
    assert "Succeeded" in hostile.shown["a.status"]
    board = await opened(desktop)
    await board.edit("var.text", HOSTILE_TEXT)
    await board.run()
    pieces = [html for page in (hostile, board) for name, html in page.shown.items() if not name.endswith(".text")]
    for html in (hostile.html, board.html, *pieces):  # the page shows a text that streams as text
        assert "<script" not in str(html)
        assert "<img" not in str(html)
    assert unescape(board.text("a")) == HOSTILE_TEXT
    assert "<img" not in await reopened(board)


async def reopened(board: Board) -> Board:
    """The page after a reload."""
    address = {name: value for name, value in board.address.items() if value and name != "prompt"}
    piece = await board.desktop.get("compare", who=board.who, prompt=board["prompt"], **address)
    return Board(board.desktop, piece.html, dict(board.address), board.who)
