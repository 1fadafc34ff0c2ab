"""The branches of a chat, and requests of the history that open in the editor with their response."""

from __future__ import annotations

import re

from herding.ui.engineer.branches import Branches
from herding.values import Message, Outcome, Parameters, Request
from tests.support.herding import GUEST
from tests.ui.conftest import Desktop, Piece


async def say(desktop: Desktop, text: str, *turns: Outcome) -> Outcome:
    """A message of a chat after the turns of these requests."""
    before = [
        message
        for turn in turns
        for message in (Message("user", str(turn.variables["message"])), Message("assistant", turn.answer))
    ]
    request = Request("chat", {"message": text}, turns=tuple(before), session_id="one")
    return await desktop.place.orchestrator.pipeline.run(request, desktop.who)


def shown(piece: Piece) -> list[str]:
    return re.findall(r'data-request="(\w+)"', piece.html)


def switches(piece: Piece) -> list[list[str]]:
    return [ids.split("~") for ids in re.findall(r'data-branch="([\w~]+)"', piece.html)]


async def test_an_edited_message_starts_a_branch_that_can_be_switched(desktop: Desktop) -> None:
    first = await say(desktop, "hello")
    second = await say(desktop, "and now?", first)
    third = await say(desktop, "the end", first, second)
    edited = await say(desktop, "and then?", first)
    ids = [outcome.request_id for outcome in (first, second, third)]
    piece = await desktop.get("engineer/response", key="chat", chat="1", run="~".join(ids))
    assert shown(piece) == ids
    assert switches(piece) == [[first.request_id, edited.request_id]]
    assert "1/2" in piece
    other = await desktop.get("engineer/response", key="chat", chat="1", run=f"{first.request_id}~{edited.request_id}")
    assert switches(other) == [ids]  # back to the newest end of that branch
    assert "2/2" in other


async def test_a_chat_without_branches_has_no_switch(desktop: Desktop) -> None:
    first = await say(desktop, "hello")
    second = await say(desktop, "bye", first)
    piece = await desktop.get("engineer/response", key="chat", chat="1", run=f"{first.request_id}~{second.request_id}")
    assert "turn-branches" not in piece
    branches = Branches([second, first])
    assert branches.until(second.request_id) == [first, second]
    assert branches.until("gone") == []
    assert branches.beside("gone") == []


async def test_a_request_of_the_history_opens_with_its_response_and_all_that_it_ran_with(desktop: Desktop) -> None:
    asked = Request("say", {"text": "from before"}, parameters=Parameters(temperature=0.9, seed=4), model="echo")
    old = await desktop.place.orchestrator.pipeline.run(asked, desktop.who)
    await desktop.run("say", text="a later one")
    opened = await desktop.get("engineer", request=old.request_id, model="echo")
    assert opened.told["address"]["run"] == old.request_id
    for part in (f'data-run="{old.request_id}"', ">\nfrom before</textarea>", 'value="0.9"', 'value="4"'):
        assert part in opened, part
    response = await desktop.get("engineer/response", key="say", run=old.request_id)
    assert "from before" in response


async def test_a_request_of_a_chat_opens_with_the_turns_before_it(desktop: Desktop) -> None:
    first = await say(desktop, "hello")
    second = await say(desktop, "and now?", first)
    await say(desktop, "the end", first, second)
    opened = await desktop.get("engineer", request=second.request_id)
    assert opened.told["address"]["run"] == f"{first.request_id}~{second.request_id}"


async def test_the_chat_of_others_is_not_opened(desktop: Desktop) -> None:
    first = await say(desktop, "hello")
    assert (await desktop.get("engineer/response", who=GUEST, key="chat", chat="1", run=first.request_id)).html == ""
