"""Running a prompt in its tab: the events of a response, the turns of a chat, the feedback."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from starlette.datastructures import FormData, QueryParams

from herding.errors import UserError
from herding.ui.engineer.tab import EngineerTab
from herding.ui.kit.views import Call
from herding.values import Parameters, Principal
from tests.support.herding import ADMIN, GUEST
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop
from tests.ui.engineer.pages import Form, opened

SLOW = "target_models: [slow/model]\nname: Slow\nvariables: {}\nprompt: " + "word " * 200
Events = list[tuple[str, Any]]


async def run(desktop: Desktop, form: Form, **fields: str) -> Events:
    """Press Run; the events until the end."""
    sent = {**form.fields, **fields}
    piece = await desktop.post("engineer/run", who=form.who, **sent)
    parts = [part.split("\n") for part in piece.html.split("\n\n") if part]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


def last(events: Events, name: str) -> Any:
    return [data for found, data in events if found == name][-1]


async def test_a_run_streams_and_tells_how_it_went(desktop: Desktop) -> None:
    form = await opened(desktop, "varied")
    form["var.error"] = "3000"
    events = await run(desktop, form)
    assert "Succeeded" in last(events, "status")
    done = last(events, "done")
    for part in ("far 3000 kind no", "tokens", "Routed to echo (echo is the only available model).", "Rate this"):
        assert part in done
    row = await desktop.place.row()
    assert last(events, "ended") == {"request": row.request_id, "session": ""}
    assert last(events, "started") == row.request_id
    assert row.parameters == Parameters(temperature=0.5, max_tokens=50, stop=("\n",))
    assert (row.variant, row.edited) == ("far", False)


async def test_a_value_that_does_not_fit_is_told_once_and_leaves_no_row(desktop: Desktop) -> None:
    form = await opened(desktop, "varied")
    form["var.error"] = "a lot"
    events = await run(desktop, form)
    assert "Not sent" in last(events, "status")
    assert "Check the variables" in last(events, "status")
    assert last(events, "done").count("must be a number") == 1
    assert last(events, "wrong")["field"] == "var.error"
    assert "must be a number" in last(events, "wrong")["message"]
    assert not any(name == "ended" for name, _ in events)
    assert await desktop.place.rows() == []


async def test_a_node_that_breaks_off_leaves_its_text_its_error_and_a_row_to_rate(desktop: Desktop) -> None:
    events = await run(desktop, await opened(desktop, "failing"))
    done = last(events, "done")
    assert "half" in done
    assert done.count("Too slow") == 1
    assert "<img" not in done
    assert "Incomplete" in last(events, "status")
    assert "Rate this response" in done


async def test_a_guest_may_run_but_not_with_another_template(desktop: Desktop) -> None:
    form = await opened(desktop, "say", who=GUEST)
    assert "one two three" in last(await run(desktop, form), "done")
    forged = {"part": "body", "messages.0.role": "user", "messages.0.content": "forged", "blocks": "on"}
    await run(desktop, form, **forged)
    assert all("forged" not in row.input for row in await desktop.place.rows(GUEST))


async def _stream(desktop: Desktop, form: Form, who: Principal = ADMIN) -> Any:
    """The events of a run as they come, from the route itself."""
    pairs = [(name, value) for name, values in form.fields.items() for value in values]
    return desktop.page.get(EngineerTab).run(Call(who, {}, QueryParams(), FormData(pairs)))


async def test_stop_ends_the_response_with_its_row(desktop: Desktop) -> None:
    desktop.place.write("slow", SLOW)
    events: Events = []
    stream = await _stream(desktop, await opened(desktop, "slow"))
    async for name, data in stream:
        events.append((name, data))
        if name == "text" and len(events) < 12:
            await desktop.post("engineer/stop", request=last(events, "started"))
    assert "Stopped" in last(events, "status")
    row = await desktop.place.row()
    assert row.status == "cancelled"
    assert 0 < len(row.answer) < len("word " * 200)
    assert row.answer.startswith("".join(data for name, data in events if name == "text").strip())


async def test_a_reader_who_leaves_ends_the_generation(desktop: Desktop) -> None:
    desktop.place.write("slow", SLOW)
    stream = await _stream(desktop, await opened(desktop, "slow"))
    async for name, _ in stream:
        if name == "text":
            break
    await stream.aclose()
    async with asyncio.timeout(60):
        while (row := await desktop.place.row()).status == "running":  # noqa: ASYNC110 (the database has no event)
            await asyncio.sleep(0.01)
    assert row.status == "abandoned"


async def test_stop_of_a_request_that_has_ended_is_no_error(desktop: Desktop) -> None:
    await desktop.post("engineer/stop", request="none")


async def test_a_chat_sends_its_turns_and_keeps_its_session(desktop: Desktop) -> None:
    form = await opened(desktop, "chat")
    assert 'id="engineer-message"' in form.html
    first = await run(desktop, form, message="hello")
    assert "hello" in last(first, "question")
    session = last(first, "ended")["session"]
    turns = json.dumps([["user", "hello"], ["assistant", "hello"]])
    second = await run(desktop, form, message="and then?", turns=turns, session=session)
    newest, oldest = await desktop.place.rows()
    assert [message["content"] for message in json.loads(newest.input)] == ["Be kind.", "hello", "hello", "and then?"]
    assert newest.session_id == oldest.session_id == session == last(second, "ended")["session"]
    assert "Regenerate" in last(second, "done")


@pytest.mark.parametrize("turns", ["{", "[1]", '[["system", "x"]]', '[["user", 1]]', '"x"', "[" * 9_000])
async def test_turns_that_are_none_are_refused(desktop: Desktop, turns: str) -> None:
    events = await run(desktop, await opened(desktop, "chat"), message="x", turns=turns)
    assert "Start a new chat" in last(events, "done")
    assert await desktop.place.rows() == []


async def test_a_chat_comes_back_from_the_ids_in_the_address(desktop: Desktop) -> None:
    form = await opened(desktop, "chat")
    ids = []
    for text in ("one", "two"):
        ids.append(last(await run(desktop, form, message=text), "ended")["request"])
    found = await desktop.get("engineer/response", key="chat", chat="1", run="~".join(ids))
    assert re.findall(r'data-role="(\w+)"', found.html) == ["user", "assistant"] * 2
    assert found.html.index(">one<") < found.html.index(">two<")
    assert (await desktop.get("engineer/response", key="say", run="~".join(ids))).html == ""
    assert (await desktop.get("engineer/response", key="chat", run="none")).html == ""
    stranger = principal("eve", "user")
    assert (await desktop.get("engineer/response", key="chat", chat="1", run=ids[0], who=stranger)).html == ""


async def test_stars_and_comments_are_saved_and_shown_with_those_of_others(desktop: Desktop) -> None:
    request = last(await run(desktop, await opened(desktop)), "ended")["request"]
    assert "Rating saved" in await desktop.post(f"engineer/rate/{request}", stars="4")
    assert "Comment saved" in await desktop.post(f"engineer/comment/{request}", comment="fine")
    entry = await desktop.place.orchestrator.history.entry(request, desktop.who)
    assert (entry.stars, entry.comment) == (4, "fine")
    await desktop.place.orchestrator.feedback.rate(request, 2, principal("boss", "admin"))
    news = await desktop.post(f"engineer/comment/{request}", comment="fine")
    for part in (desktop.who.id, "fine", "boss", "2 stars"):
        assert part in news
    again = await desktop.get("engineer/response", key="say", run=request)
    assert re.search(r'value="4"[^>]*checked', again.html)
    await desktop.post(f"engineer/rate/{request}", stars="0")
    assert (await desktop.place.orchestrator.history.entry(request, desktop.who)).stars is None


@pytest.mark.parametrize("stars", ["6", "-1", "2.5", "x"])
async def test_stars_that_there_are_not_are_refused(desktop: Desktop, stars: str) -> None:
    request = last(await run(desktop, await opened(desktop)), "ended")["request"]
    with pytest.raises(UserError):
        await desktop.post(f"engineer/rate/{request}", stars=stars)


async def test_hostile_texts_are_characters_in_every_event(desktop: Desktop) -> None:
    events = await run(desktop, await opened(desktop, "hostile"))
    shown = "".join(str(data) for name, data in events if name in ("status", "done", "question", "blocks"))
    assert "&lt;img src=x" in shown
    for evil in ("<img", "<script", "${alert"):
        assert evil not in shown
    chat = await run(desktop, await opened(desktop, "chat"), message=HOSTILE_TEXT)
    assert "<img" not in last(chat, "question")
