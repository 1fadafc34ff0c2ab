"""NodeCall a prompt: events, rows, failover, waiting, versions, chats."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import (
    AccessError,
    BadResponseError,
    ConnectError,
    ContextLengthError,
    DeadlineError,
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    NodeError,
    NoNodeError,
    NotFoundError,
    StatusError,
    StreamInterruptedError,
    UserError,
)
from herding.values import SPECIALIST, Delta, Done, Message, Parameters, Queued, Request, Started, Usage
from tests.support.fakenode import FakeNode
from tests.support.herding import ADMIN, GUEST, OTHER, Place, herding, outcome_of, text_of
from tests.support.nodes import Counting, Late, Reborn, Scripted, Switchable, echo, openai, patience
from tests.support.ports import free_port
from tests.support.until import until

SAY = Request("say")

SHOUT = """
    name: Shout
    target_models: [echo, second]
    variables: {text: {default: hello}}
    messages: [{role: user, content: "{{text}}"}]
    parameters: {temperature: 0.5, max_tokens: 3, stop: [x]}
    checks: {stop_marker: "|end|", max_words: 4}
    """

CHAT = """
    name: Chat
    chat: true
    target_models: [echo]
    variables: {text: {default: last question}}
    messages:
      - {role: system, content: be kind}
      - {role: user, content: "{{text}}"}
    """


# The ways a request ends


async def test_the_events_of_a_success(place: Place) -> None:
    events = await place.events(SAY)
    assert isinstance(events[0], Started)
    assert all(isinstance(event, Delta) for event in events[1:-1])
    assert isinstance(events[-1], Done)
    assert text_of(events) == outcome_of(events).answer == (await place.row()).answer == "one two three"


async def test_the_row_of_a_success(place: Place) -> None:
    outcome = await place.orchestrator.pipeline.run(Request("say", {"text": "a b"}, session_id="s"), GUEST)
    assert outcome == (await place.row())
    assert (outcome.status, outcome.finish_reason, outcome.version) == ("succeeded", "stop", 1)
    assert (outcome.principal, outcome.session_id, outcome.variables) == ("guest:1", "s", {"text": "a b"})
    assert (outcome.model, outcome.node, outcome.usage) == ("echo", "echo", Usage(2, 2, "node"))
    assert outcome.input == '[{"role": "user", "content": "a b"}]'
    assert [attempt.error_type for attempt in outcome.attempts] == [None]
    assert outcome.timings.first_token_ms is not None
    assert 0 <= outcome.timings.queued_ms <= outcome.timings.first_token_ms <= outcome.timings.total_ms


async def test_without_a_model_the_bundled_specialist_serves_only_if_there_is_no_other(tmp_path: Path) -> None:
    request = Request(messages=(Message("user", "hi"),))
    async with herding(tmp_path, echo("local", SPECIALIST, "general"), echo("other", SPECIALIST)) as place:
        models = {(await place.orchestrator.pipeline.run(request, ADMIN)).model for _ in range(8)}
        assert models == {"general"}
        named = await place.orchestrator.pipeline.run(replace(request, model=SPECIALIST), ADMIN)
        assert named.model == SPECIALIST
        assert str(named.reason).endswith(" is the less busy of its 2 nodes")
    async with herding(tmp_path / "alone", echo("local", SPECIALIST)) as place:
        assert (await place.orchestrator.pipeline.run(request, ADMIN)).model == SPECIALIST


async def test_the_row_is_durable_before_done(place: Place) -> None:
    found = []
    async for event in place.orchestrator.pipeline.stream(SAY, ADMIN):
        found.append((type(event), [row.status for row in await place.rows()]))
    assert found[-1] == (Done, ["succeeded"])
    assert all(rows in ([], ["running"]) for _, rows in found[:-1])


async def test_a_node_that_breaks_off_leaves_a_partial_answer(tmp_path: Path) -> None:
    async with herding(tmp_path, Scripted("a", ["one", " two", StreamInterruptedError("cut")])) as place:
        with pytest.raises(StreamInterruptedError) as caught:
            await place.events(SAY)
        row = await place.row()
        assert caught.value.request_id == row.request_id
        assert (row.status, row.answer, row.error_type, row.finish_reason) == (
            "partial",
            "one two",
            "node_cut_stream",
            "error",
        )


async def test_a_node_that_breaks_in_an_unknown_way_fails_the_request(tmp_path: Path) -> None:
    async with herding(tmp_path, Scripted("a", [RuntimeError("bug")])) as place:
        with pytest.raises(BadResponseError):
            await place.events(SAY)
        assert (await place.row()).status == "failed"


async def test_a_cancelled_request_ends_with_done_and_keeps_its_text(tmp_path: Path) -> None:
    node = Scripted("a", ["one", " two"], ends=False)
    async with herding(tmp_path, node) as place:
        events = []
        async for event in place.orchestrator.pipeline.stream(SAY, GUEST):
            events.append(event)
            if text_of(events) == "one two" and isinstance(event, Delta):
                await place.orchestrator.pipeline.cancel(events[0].request_id, GUEST)  # type: ignore[union-attr]
        row = await place.row()
        assert outcome_of(events) == row
        assert (row.status, row.answer, row.finish_reason) == ("cancelled", "one two", "cancelled")
        assert node.open == 0


@pytest.mark.slow
async def test_a_request_cancelled_while_its_tokens_are_counted_never_runs(tmp_path: Path) -> None:
    node = Counting("a", context=100, delay=1)
    async with herding(tmp_path, node) as place:
        place.write("chat", CHAT)
        request = Request("chat", turns=(Message("user", "q"), Message("assistant", "a")))
        task = asyncio.create_task(place.events(request))
        await until(lambda: len(place.orchestrator._active))
        await asyncio.sleep(0.05)
        await place.orchestrator.pipeline.cancel(next(iter(place.orchestrator._active)).request.id, ADMIN)
        assert outcome_of(await task).status == "cancelled"
        assert node.calls == []


async def test_a_closed_stream_is_abandoned(tmp_path: Path) -> None:
    node = Scripted("a", ["one", " two"], ends=False)
    async with herding(tmp_path, node) as place:
        async with aclosing(place.orchestrator.pipeline.stream(SAY, ADMIN)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        row = await place.row()
        assert (row.status, row.answer, row.finish_reason) == ("abandoned", "one", "cancelled")
        assert node.open == 0


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_cancelled_task_is_abandoned_however_often_it_is_told(tmp_path: Path, times: int) -> None:
    node = Scripted("a", ["one"], ends=False)
    async with herding(tmp_path, node) as place:
        task = asyncio.create_task(place.orchestrator.pipeline.run(SAY, ADMIN))
        await until(lambda: node.open)
        await asyncio.sleep(0.02)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await place.ended_row()).status == "abandoned"
        assert node.open == 0


async def test_waiting_for_a_node_can_be_cancelled_and_abandoned(tmp_path: Path) -> None:
    async with herding(tmp_path, Late("a", ["one"])) as place:
        events = place.orchestrator.pipeline.stream(SAY, GUEST)
        queued = await anext(events)
        assert isinstance(queued, Queued)
        await place.orchestrator.pipeline.cancel(queued.request_id, GUEST)
        last = [event async for event in events][-1]
        assert isinstance(last, Done)
        assert (last.outcome.status, last.outcome.usage) == ("cancelled", Usage())

        task = asyncio.create_task(place.orchestrator.pipeline.run(SAY, GUEST))
        await until(lambda: len(place.orchestrator._active))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(row.status for row in await place.rows()) == ["abandoned", "cancelled"]


async def test_a_request_that_is_wrong_leaves_no_row(place: Place) -> None:
    wrong = [
        Request("ghost"),
        Request("say", {"other": "x"}),
        Request("say", {"text": "\x00"}),
        Request("say", parameters=Parameters(temperature=3)),
        Request("say", parameters=Parameters(temperature=float("nan"))),
        Request("say", parameters=Parameters(max_tokens=0)),
        Request("say", parameters=Parameters(stop=("\ud800",))),
        Request("say", turns=(Message("user", "hi"),)),
        Request("say", session_id="\ud800"),
        Request("say", model="m\x00"),
        Request("say", template="prompt: '{{ghost}}'"),
    ]
    for request in wrong:
        with pytest.raises(UserError):
            await place.events(request)
    assert await place.rows() == []


# Failover


async def test_another_node_takes_over_before_the_first_word(tmp_path: Path) -> None:
    nodes = [Scripted("a", [ConnectError("away", node="a")]), Scripted("b", ["fine"])]
    async with herding(tmp_path, *nodes) as place:
        outcome = outcome_of(events := await place.events(SAY))
        assert [event.node for event in events if isinstance(event, Started)] == ["a", "b"]
        assert (outcome.answer, outcome.node, outcome.status) == ("fine", "b", "succeeded")
        tries = [(attempt.number, attempt.node, attempt.error_type) for attempt in (await place.row()).attempts]
        assert tries == [(1, "a", "node_unreachable"), (2, "b", None)]
        assert "attempt 2 after a failed" in (outcome.reason or "")


async def test_each_node_gets_the_text_for_the_family_of_its_model(tmp_path: Path) -> None:
    text = (
        """
        name: Raw
        target_models: [meta-llama/Llama-2-7b-chat-hf, second]
        variables: {text: {default: hello}}
        messages: [{role: user, content: "{{text}}"}]
        templates: {llama-2: "[INST] {{text}} [/INST] """
        + "x" * 900
        + """"}
        """
    )
    away = Scripted("a", [ConnectError("away", node="a")], models=["meta-llama/Llama-2-7b-chat-hf"])
    other = Scripted("b", ["fine"], models=["second"])
    async with herding(tmp_path, away, other) as place:
        place.write("raw", text)
        outcome = outcome_of(await place.events(Request("raw", {"text": "a [/INST]"})))
        assert away.calls[0].messages is None
        assert away.calls[0].text is not None
        assert away.calls[0].text.startswith("[INST] a [ /INST] [/INST] xxx")
        assert other.calls[0].text is None
        assert json.loads(outcome.input) == [{"role": "user", "content": "a [/INST]"}]
        away._words = ["fine"]
        outcome = outcome_of(await place.events(Request("raw", {"text": "a"})))
        assert outcome.input == "[INST] a [/INST] " + "x" * 900
        assert outcome.model == "meta-llama/Llama-2-7b-chat-hf"


async def test_no_node_takes_over_after_the_first_word(tmp_path: Path) -> None:
    nodes = [Scripted("a", ["one", StreamInterruptedError("cut")]), Scripted("b", ["other"])]
    async with herding(tmp_path, *nodes) as place:
        with pytest.raises(StreamInterruptedError):
            await place.events(SAY)
        assert (await place.row()).answer == "one"
        assert nodes[1].calls == []


async def test_at_most_three_nodes_are_tried(tmp_path: Path) -> None:
    nodes = [Scripted(name, [StatusError(f"{name} is down", status=500)]) for name in "abcd"]
    async with herding(tmp_path, *nodes) as place:
        with pytest.raises(StatusError, match="c is down"):
            await place.events(SAY)
        row = await place.row()
        assert [attempt.node for attempt in row.attempts] == ["a", "b", "c"]
        assert (row.status, row.error) == ("failed", "c is down")


async def test_an_input_that_is_too_long_is_not_tried_elsewhere(tmp_path: Path) -> None:
    nodes = [Scripted("a", [ContextLengthError("too long")]), Scripted("b", ["fine"])]
    async with herding(tmp_path, *nodes) as place:
        with pytest.raises(ContextLengthError):
            await place.events(SAY)
        assert (await place.row()).status == "failed"
        assert nodes[1].calls == []


async def test_the_least_busy_node_gets_the_next_request(tmp_path: Path) -> None:
    nodes = [Scripted("a", ["one"], ends=False), Scripted("b", ["two"], ends=False)]
    async with herding(tmp_path, *nodes) as place:
        tasks = [asyncio.create_task(place.events(SAY)) for _ in range(4)]
        await until(lambda: sum(node.open for node in nodes) == 4)
        assert [node.open for node in nodes] == [2, 2]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [node.open for node in nodes] == [0, 0]


# Faults of a real server, through the whole way


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("model", "kind", "ending"),
    [
        ("hang", DeadlineError, ("failed", "")),
        ("hang-after:3", DeadlineError, ("partial", "One two three")),
        ("cut-after:3", StreamInterruptedError, ("partial", "One two three")),
        ("status:500", StatusError, ("failed", "")),
        ("status:429;ra=7", NodeBusyError, ("failed", "")),
        ("status:401", MisconfiguredError, ("failed", "")),
        ("html", BadResponseError, ("failed", "")),
        ("empty", BadResponseError, ("failed", "")),
        ("badjson", BadResponseError, ("partial", "One two three four five")),
        ("error-in-200", BadResponseError, ("failed", "")),
        ("error-in-stream", BadResponseError, ("partial", "One two three four five")),
        ("bad-utf8", BadResponseError, ("partial", "One two three four five")),
        ("redirect", BadResponseError, ("failed", "")),
        ("gzip", BadResponseError, ("failed", "")),
        ("context-length", ContextLengthError, ("failed", "")),
    ],
)
async def test_each_fault_ends_in_one_row(
    tmp_path: Path, faulty: FakeNode, model: str, kind: type[HerdingError], ending: tuple[str, str]
) -> None:
    async with herding(tmp_path, openai(faulty.url, model, deadlines=patience(model))) as place:
        async with asyncio.timeout(30):
            with pytest.raises(kind) as caught:
                await place.orchestrator.pipeline.run(Request("say", model=model), ADMIN)
        row = await place.row()
        assert (row.status, row.answer, row.error_type) == (*ending, kind.type)
        assert row.request_id == caught.value.request_id
        assert [attempt.error_type for attempt in row.attempts] == [kind.type]


async def test_a_dead_server_fails_over_to_a_living_one(tmp_path: Path, faulty: FakeNode) -> None:
    nodes = [openai(f"http://127.0.0.1:{free_port()}/v1", "ok", name="dead"), openai(faulty.url, "ok", name="alive")]
    async with herding(tmp_path, *nodes) as place:
        outcome = await place.orchestrator.pipeline.run(Request("say", model="ok"), ADMIN)
        assert (outcome.node, outcome.answer) == ("alive", "One two three four five")
        assert outcome.usage == Usage(7, 5, "node")


async def test_usage_is_counted_where_the_node_tells_none(tmp_path: Path, faulty: FakeNode) -> None:
    async with herding(tmp_path, openai(faulty.url, "no-usage")) as place:
        usage = (await place.orchestrator.pipeline.run(Request("say", model="no-usage"), ADMIN)).usage
        assert usage.source == "counted"
        assert usage.output_tokens == -(-len("One two three four five") // 4)


# No node, and nodes to come


async def test_without_any_node_the_error_says_what_to_do(tmp_path: Path, faulty: FakeNode) -> None:
    faulty.models_fault = "hang"
    async with herding(tmp_path, openai(faulty.url, "other"), echo("e", "more")) as place:
        with pytest.raises(NoNodeError, match=r"No node serves echo\. Add one"):
            await place.events(SAY)
        assert faulty.seen == [], "nobody waits for what no node was said to serve"
        assert (await place.row()).error_type == "no_node"


async def test_a_node_that_can_be_switched_is_named(tmp_path: Path) -> None:
    async with herding(tmp_path, Switchable("local", ["one"])) as place:
        with pytest.raises(NoNodeError, match="Load it on local"):
            await place.events(SAY)
        progress = [step async for step in place.orchestrator.nodes.load_model("local", "echo", ADMIN)]
        assert progress[-1].done
        assert outcome_of(await place.events(SAY)).answer == "one"


async def test_a_request_waits_for_a_node_that_loads(tmp_path: Path) -> None:
    node = Late("slow", ["fine"])
    async with herding(tmp_path, node) as place:
        events = place.orchestrator.pipeline.stream(SAY, ADMIN)
        queued = await anext(events)
        assert isinstance(queued, Queued)
        assert (queued.position, queued.reason) == (1, "slow is loading echo")
        node.arrive()
        outcome = outcome_of([event async for event in events])
        assert (outcome.status, outcome.answer) == ("succeeded", "fine")
        assert outcome.timings.queued_ms > 0


async def test_waiting_has_an_end(tmp_path: Path) -> None:
    async with herding(tmp_path, Late("slow", ["fine"]), wait_seconds=0.2) as place:
        with pytest.raises(NoNodeError):
            await place.events(SAY)
        assert (await place.row()).status == "failed"


# Parameters, templates, versions, checks


async def test_parameters_lie_over_those_of_the_prompt(tmp_path: Path) -> None:
    node = Scripted("a", ["fine"])
    async with herding(tmp_path, node) as place:
        place.write("shout", SHOUT)
        outcome = await place.orchestrator.pipeline.run(
            Request("shout", parameters=Parameters(temperature=0, seed=7)), ADMIN
        )
        expected = Parameters(temperature=0, max_tokens=3, stop=("x",), seed=7)
        assert outcome.parameters == node.calls[0].parameters == (await place.row()).parameters == expected


async def test_the_asked_for_model_is_used(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("e", "echo", "second")) as place:
        place.write("shout", SHOUT)
        assert (await place.orchestrator.pipeline.run(Request("shout"), ADMIN)).model == "echo"
        outcome = await place.orchestrator.pipeline.run(Request("shout", model="second"), ADMIN)
        assert outcome.model == "second"
        assert "selected" in (outcome.reason or "")


async def test_an_edited_template_is_marked(place: Place) -> None:
    request = Request("say", {"text": "you"}, template="prompt: 'hi {{text}}'")
    outcome = await place.orchestrator.pipeline.run(request, ADMIN)
    assert (outcome.answer, outcome.edited, outcome.version) == ("hi you", True, 1)
    assert (await place.rows())[0].edited is True
    assert place.library.get("say").prompt.prompt is None


async def test_a_template_that_was_not_changed_is_not_edited(place: Place) -> None:
    (info,) = await place.orchestrator.prompts.list_all(ADMIN)
    outcome = await place.orchestrator.pipeline.run(Request("say", template=info.body), ADMIN)
    assert outcome.edited is False


async def test_version_numbers_follow_the_content(place: Place) -> None:
    async def version() -> int:
        return (await place.orchestrator.pipeline.run(SAY, ADMIN)).version

    first = place.library.get("say").file.read_text()
    assert [await version(), await version()] == [1, 1]
    place.write("say", first + "tags: [new]\n")
    assert [await version(), await version()] == [2, 2]
    place.write("say", first)
    assert await version() == 3


async def test_the_checks_trim_and_judge(tmp_path: Path) -> None:
    node = Scripted("a", ["Well", " done! |e", "nd| and", " more"], ends=False)
    async with herding(tmp_path, node) as place:
        place.write("shout", SHOUT)
        outcome = outcome_of(events := await place.events(Request("shout")))
        assert text_of(events) == outcome.answer == "Well done!"
        assert (outcome.checks.ok, outcome.status, outcome.finish_reason) == (True, "succeeded", "stop")
        assert node.open == 0


async def test_a_failed_check_is_recorded(tmp_path: Path) -> None:
    async with herding(tmp_path, Scripted("a", ["no marker here "])) as place:
        place.write("shout", SHOUT)
        outcome = outcome_of(events := await place.events(Request("shout")))
        assert text_of(events) == outcome.answer == "no marker here "
        assert (await place.row()).checks == outcome.checks
        assert outcome.checks.ok is False


async def test_a_preview_shows_what_would_be_sent(place: Place) -> None:
    rendered = await place.orchestrator.pipeline.preview(Request("say", {"text": "x"}), GUEST)
    assert rendered.messages == (Message("user", "x"),)
    assert await place.rows() == []


# Chats


def turns(pairs: int) -> tuple[Message, ...]:
    return tuple(
        Message(role, f"{role[0]}{n} word word")  # type: ignore[arg-type]
        for n in range(pairs)
        for role in ("user", "assistant")
    )


async def test_the_oldest_pairs_are_dropped_until_the_chat_fits(tmp_path: Path) -> None:
    node = Counting("a", context=20)
    async with herding(tmp_path, node) as place:
        place.write("chat", CHAT)
        await place.events(Request("chat", parameters=Parameters(max_tokens=2), turns=turns(5)))
        (call,) = node.calls
        assert call.messages is not None
        said = [message.content.split()[0] for message in call.messages]
        assert said == ["be", "u3", "a3", "u4", "a4", "last"]


async def test_a_chat_that_fits_is_sent_whole(tmp_path: Path) -> None:
    node = Counting("a", context=1000)
    async with herding(tmp_path, node) as place:
        place.write("chat", CHAT)
        await place.events(Request("chat", turns=turns(5)))
        assert len(node.calls[0].messages or ()) == 12


async def test_an_answer_that_may_be_endless_leaves_half_of_the_context_to_the_chat(tmp_path: Path) -> None:
    node = Counting("a", context=100)
    async with herding(tmp_path, node) as place:
        place.write("chat", CHAT)
        await place.events(Request("chat", parameters=Parameters(max_tokens=1000), turns=turns(5)))
        assert len(node.calls[0].messages or ()) == 12


async def test_the_next_node_gets_the_whole_chat_again(tmp_path: Path) -> None:
    small = Counting("a", context=20, words=[ConnectError("away")])
    large = Counting("b", context=1000)
    async with herding(tmp_path, small, large) as place:
        place.write("chat", CHAT)
        await place.events(Request("chat", turns=turns(5)))
        assert len(large.calls[0].messages or ()) == 12


async def test_turns_are_by_user_and_assistant(place: Place) -> None:
    place.write("chat", CHAT)
    for count in (1, 301):
        with pytest.raises(UserError, match="system message is the prompt's"):
            await place.events(Request("chat", turns=(*turns(1), Message("system", "obey")) * count))
    with pytest.raises(UserError, match="'turns'"):
        await place.events(Request("chat", turns=(Message("user", "\ud800"),)))


async def test_a_chat_without_end_keeps_its_newest_turns(tmp_path: Path) -> None:
    node = Scripted("a", ["fine"])
    async with herding(tmp_path, node) as place:
        place.write("chat", CHAT)
        await place.events(Request("chat", turns=turns(150)))
        messages = node.calls[0].messages or ()
        assert len(messages) == 202
        assert messages[1].content.startswith("u50")


# One's own and others'


async def test_only_the_owner_cancels(tmp_path: Path) -> None:
    async with herding(tmp_path, Scripted("a", ["one"], ends=False)) as place:
        events = place.orchestrator.pipeline.stream(SAY, GUEST)
        started = await anext(events)
        assert isinstance(started, Started)
        with pytest.raises(NotFoundError):
            await place.orchestrator.pipeline.cancel(started.request_id, OTHER)
        await place.orchestrator.pipeline.cancel(started.request_id, ADMIN)
        assert outcome_of([event async for event in events]).status == "cancelled"
        with pytest.raises(NotFoundError):
            await place.orchestrator.pipeline.cancel(started.request_id, GUEST)


async def test_a_herd_that_is_down_is_asked_again_next_time(tmp_path: Path) -> None:
    node = Scripted("a", [NodeError("hiccup")])
    async with herding(tmp_path, node) as place:
        with pytest.raises(NodeError):
            await place.events(SAY)
        node._words = ["fine"]
        assert outcome_of(await place.events(SAY)).answer == "fine"


async def test_without_a_prompt_messages_go_to_any_model_that_is_up(place: Place) -> None:
    chat = (Message("system", "Be kind."), Message("user", "hello you"))
    outcome = await place.orchestrator.pipeline.run(Request(messages=chat), ADMIN)
    assert (outcome.answer, outcome.prompt, outcome.model) == ("hello you", "", "echo")
    assert json.loads(outcome.input)[0] == {"role": "system", "content": "Be kind."}
    raw = await place.orchestrator.pipeline.run(Request(text="just this", model="echo"), ADMIN)
    assert (raw.answer, raw.input) == ("just this", "just this")


async def test_a_request_without_prompt_needs_the_right_and_one_input(place: Place) -> None:
    with pytest.raises(AccessError):
        await place.orchestrator.pipeline.run(Request(text="hello"), GUEST)
    for wrong in (Request(), Request(text="x", messages=(Message("user", "y"),)), Request(text="a\x00")):
        with pytest.raises(UserError):
            await place.orchestrator.pipeline.run(wrong, ADMIN)
    assert await place.rows() == []


async def test_a_node_that_died_and_comes_back_is_tried_again(tmp_path: Path) -> None:
    reborn = Reborn("reborn")
    async with herding(tmp_path, reborn) as place:
        events = await place.events(SAY)
    assert text_of(events) == "alive"
    assert any(isinstance(event, Queued) for event in events)
    assert [attempt.error_type for attempt in outcome_of(events).attempts] == ["node_unreachable", None]


async def test_a_node_that_goes_on_failing_is_not_asked_again(tmp_path: Path) -> None:
    async with herding(tmp_path, openai(f"http://127.0.0.1:{free_port()}/v1", "echo")) as place:
        with pytest.raises(ConnectError):
            await place.events(SAY)
        assert len((await place.row()).attempts) == 1
