"""Chats that are remembered by their session."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import LimitError, NodeError, StreamInterruptedError, UserError
from herding.serving.conversation import MAX_CHARS
from herding.values import Limit, Message, Outcome, Parameters, Principal, Request
from tests.support.fakenode import FakeNode
from tests.support.herding import ADMIN, GUEST, OTHER, Place, herding
from tests.support.nodes import Counting, Scripted, echo, openai

CHAT = """
    name: Chat
    chat: true
    target_models: [echo]
    variables: {text: {default: last}}
    messages:
      - {role: system, content: "be kind"}
      - {role: user, content: "{{text}}"}
    """


@pytest.fixture
async def chats(place: Place) -> Place:
    """A Herding whose prompts `chat` and `other` are chats."""
    place.write("chat", CHAT)
    place.write("other", CHAT)
    return place


async def ask(place: Place, text: str, who: Principal = ADMIN, *, prompt: str = "chat", **more: object) -> Outcome:
    """One turn of a chat; the node says it back."""
    given = {"session_id": "s", **more}
    return await place.orchestrator.pipeline.run(Request(prompt, {"text": text}, **given), who)  # type: ignore[arg-type]


async def say(place: Place, *messages: Message | str, who: Principal = ADMIN, **more: object) -> Outcome:
    """One turn of a chat without prompt."""
    said = tuple(Message("user", one) if isinstance(one, str) else one for one in messages)
    given = {"session_id": "s", "model": "echo", **more}
    return await place.orchestrator.pipeline.run(Request(messages=said, **given), who)  # type: ignore[arg-type]


def sent(outcome: Outcome) -> list[str]:
    """What the messages said that the node got."""
    return [message["content"] for message in json.loads(outcome.input)]


async def test_a_session_of_a_prompt_remembers_its_turns(chats: Place) -> None:
    for text in ("one", "two"):
        await ask(chats, text)
    outcome = await ask(chats, "three")
    assert sent(outcome) == ["be kind", "one", "one", "two", "two", "three"]
    assert [message["role"] for message in json.loads(outcome.input)][1:3] == ["user", "assistant"]


async def test_a_session_of_free_chat_remembers_its_turns(chats: Place) -> None:
    await say(chats, "one")
    await say(chats, "two", model=None)
    assert sent(await say(chats, "three")) == ["one", "one", "two", "two", "three"]


async def test_the_system_message_stays_until_another_is_sent(chats: Place) -> None:
    await say(chats, Message("system", "be a pirate"), "one")
    assert sent(await say(chats, "two")) == ["be a pirate", "one", "one", "two"]
    changed = await say(chats, Message("system", "be a poet"), "three")
    assert sent(changed) == ["be a poet", "one", "one", "two", "two", "three"]
    assert sent(await say(chats, "four"))[0] == "be a poet"


async def test_prompts_and_free_chat_do_not_mix(chats: Place) -> None:
    await ask(chats, "of chat")
    await say(chats, "of none")
    assert sent(await ask(chats, "new", prompt="other")) == ["be kind", "new"]
    assert sent(await say(chats, "more")) == ["of none", "of none", "more"]
    assert sent(await ask(chats, "more")) == ["be kind", "of chat", "of chat", "more"]


async def test_a_session_is_its_principals_own(chats: Place) -> None:
    await ask(chats, "a secret", GUEST)
    for who in (OTHER, ADMIN):
        assert sent(await ask(chats, "hello", who)) == ["be kind", "hello"]
    assert sent(await ask(chats, "hello", GUEST)) == ["be kind", "a secret", "a secret", "hello"]
    assert sent(await ask(chats, "hello", GUEST, session_id="t")) == ["be kind", "hello"]


async def test_the_callers_own_log_wins(chats: Place) -> None:
    await ask(chats, "forgotten")
    await say(chats, "forgotten")
    turns = (Message("user", "q"), Message("assistant", "a"))
    assert sent(await ask(chats, "new", turns=turns)) == ["be kind", "q", "a", "new"]
    assert sent(await ask(chats, "new", turns=())) == ["be kind", "new"]
    outcome = await say(chats, *turns, "new")
    assert sent(outcome) == ["q", "a", "new"]
    assert outcome.session_id == "s"


async def test_without_a_session_nothing_is_remembered(chats: Place) -> None:
    for _ in range(2):
        assert sent(await ask(chats, "new", session_id=None)) == ["be kind", "new"]


async def test_answers_that_failed_are_no_turns(tmp_path: Path) -> None:
    node = Scripted("a", ["fine"])
    async with herding(tmp_path, node) as place:
        await say(place, "one")
        node._words = ["half", StreamInterruptedError("cut")]
        with pytest.raises(NodeError):
            await say(place, "two")
        node._words = []
        await say(place, "three")
        node._words = ["fine"]
        assert sent(await say(place, "four")) == ["one", "fine", "four"]


async def test_a_prompt_that_is_no_chat_only_notes_the_session(chats: Place) -> None:
    chats.write("raw", "name: Raw\ntarget_models: [echo]\nvariables: {text: {}}\nprompt: '[INST] {{text}}'\n")
    for _ in range(2):
        outcome = await ask(chats, "x", prompt="raw")
        assert (outcome.input, outcome.session_id) == ("[INST] x", "s")
        assert sent(await ask(chats, "x", prompt="say")) == ["x"]
    chats.write("raw", CHAT)  # what was raw text is no turn
    assert sent(await ask(chats, "x", prompt="raw")) == ["be kind", "x"]


async def test_a_raw_text_that_looks_like_messages_is_no_turn(chats: Place) -> None:
    raw = "name: Raw\ntarget_models: [echo]\nvariables: {text: {}}\nprompt: '{{text}}'\n"
    for text in ('[{"role": "user", "content": 5}]', '["x"]', "5", "[" * 5000, '{"role": "user"}'):
        chats.write("raw", raw)
        await ask(chats, text, prompt="raw")
        chats.write("raw", CHAT)
        assert sent(await ask(chats, "new", prompt="raw", session_id="s"))[-1] == "new"


async def test_texts_that_were_forgotten_are_no_turns(chats: Place) -> None:
    await ask(chats, "secret")
    await chats.store.erase_content(principal=ADMIN.id, request_ids=None)
    assert sent(await ask(chats, "new")) == ["be kind", "new"]


async def test_of_who_keeps_no_texts_no_session_is_remembered(chats: Place) -> None:
    who = replace(ADMIN, opt_out=True)
    for attempt in (ask(chats, "new", who), say(chats, "new", who=who)):
        with pytest.raises(UserError, match="Send the earlier turns") as caught:
            await attempt
        assert caught.value.param == "session_id"
    assert await chats.rows() == []
    assert (await ask(chats, "new", who, turns=())).answer == "new"
    assert (await ask(chats, "new", who, prompt="say")).answer == "new"


@pytest.mark.one_database
@pytest.mark.parametrize("session_id", ["", "x" * 129, "a\nb", "\x00", "\ud800", "a\u200eb"])
async def test_a_session_id_that_is_none(chats: Place, session_id: str) -> None:
    with pytest.raises(UserError, match="1 to 128 printable characters") as caught:
        await ask(chats, "x", prompt="say", session_id=session_id)
    assert caught.value.param == "session_id"
    for fine in ("x" * 128, "ü 1", "' OR 1=1 --"):
        assert (await ask(chats, "x", session_id=fine)).session_id == fine


async def test_what_outgrows_the_context_loses_its_oldest_turns_and_no_system_message(tmp_path: Path) -> None:
    node = Counting("a", context=11, words=["fine"])
    async with herding(tmp_path, node) as place:
        place.write("chat", CHAT)
        few = Parameters(max_tokens=2)
        for number in range(6):
            said = await say(place, *[Message("system", "be kind")][number:], f"q{number} word", parameters=few)
            asked = await ask(place, f"q{number} word", parameters=few)
    assert sent(said) == ["be kind", "q4 word", "fine", "q5 word"]
    assert sent(asked) == ["be kind", "q4 word", "fine", "q5 word"]


async def test_a_hosted_model_with_a_known_context_gets_no_more_than_fits(tmp_path: Path, faulty: FakeNode) -> None:
    node = openai(faulty.url, "ok", context_length=60)
    async with herding(tmp_path, node) as place:
        for _ in range(4):
            said = await say(place, "x" * 45, model="ok", parameters=Parameters(max_tokens=10))
    assert [len(text) for text in sent(said)] == [45, len("One two three four five"), 45]


async def test_of_a_session_without_end_the_newest_turns_are_taken(tmp_path: Path) -> None:
    node = Scripted("a", ["fine"])
    async with herding(tmp_path, node) as place:
        for letter in "abc":
            await say(place, letter * (MAX_CHARS // 2 - 10))
        assert [text[0] for text in sent(await say(place, "d"))] == ["b", "f", "c", "f", "d"]


async def test_what_is_remembered_counts_for_limits(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        few = Parameters(max_tokens=1)
        await say(place, "x" * 400, parameters=few)
        who = replace(ADMIN, limits=(Limit("token", 1, 80),))
        with pytest.raises(LimitError, match="alone is larger"):
            await say(place, "short", who=who, parameters=few)
        await say(place, "short", who=replace(who, id="other"), parameters=few)
