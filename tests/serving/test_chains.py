"""Chains: prompts whose steps are requests of their own."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import (
    AuthenticationError,
    BadResponseError,
    HerdingError,
    LimitError,
    NodeError,
    NotFoundError,
    UserError,
)
from herding.prompts.steps import MAX_DEPTH
from herding.values import (
    Delta,
    Done,
    Entry,
    HistoryFilter,
    Limit,
    Message,
    Outcome,
    Parameters,
    Principal,
    Request,
    StepChanged,
    StepRun,
)
from tests.support.herding import ADMIN, GUEST, OTHER, Place, herding, outcome_of, text_of
from tests.support.nodes import Scripted, echo
from tests.support.people import principal
from tests.support.until import LONG, until

PLAIN = """
    name: {name}
    target_models: [{model}]
    variables: {{text: {{}}}}
    messages: [{{role: user, content: "{before}{{{{text}}}}"}}]
    """
CHAIN = """
    name: Chain
    variables: {text: {}}
    steps:
      - {prompt: translate, variables: {text: "{{text}}"}, into: english}
      - {prompt: summarize, variables: {text: "{{english}}"}, into: summary, group: facts}
      - {prompt: topics, variables: {text: "{{english}}"}, into: keywords, group: facts}
      - {prompt: check, variables: {text: "{{summary}} / {{keywords}}"}}
    """


def write_steps(place: Place, **models: str) -> None:
    """Four prompts that put their name before the text, on the model of the same name or `echo`."""
    for name in ("translate", "summarize", "topics", "check"):
        place.write(name, PLAIN.format(name=name, model=models.get(name, "echo"), before=f"{name}: "))


async def entry(place: Place, request_id: str) -> Entry:
    return await place.orchestrator.history.entry(request_id, ADMIN)


async def used(place: Place, who: Principal) -> list[int]:
    return [use.used for use in await place.store.usage(who.id, who.limits)]


def states(steps: tuple[StepRun, ...] | None) -> dict[str, str]:
    return {step.name: step.state for step in steps or ()}


async def test_each_step_is_a_request_under_one_parent_that_adds_them_up(place: Place) -> None:
    write_steps(place)
    place.write("chain", CHAIN)
    events = await place.events(Request("chain", {"text": "bonjour le monde"}))
    outcome = outcome_of(events)
    whole = "check: summarize: translate: bonjour le monde / topics: translate: bonjour le monde"
    assert text_of(events) == outcome.answer == whole
    assert (outcome.kind, outcome.prompt, outcome.model, outcome.node) == ("chain", "chain", "echo", "echo")
    assert outcome.status == "succeeded"
    found = await entry(place, outcome.request_id)
    assert [(child.step, child.prompt, child.kind) for child in found.children] == [
        ("english", "translate", "step"),
        ("summary", "summarize", "step"),
        ("keywords", "topics", "step"),
        ("check", "check", "step"),
    ]
    rows = [row for row in await place.rows() if row.parent == outcome.request_id]
    assert len(rows) == 4 == len(found.children)
    assert outcome.usage.input_tokens == sum(row.usage.input_tokens for row in rows)
    assert outcome.usage.output_tokens == sum(row.usage.output_tokens for row in rows)
    assert outcome.usage.source == "node"
    assert outcome.cost == sum(row.cost or 0 for row in rows) == 0
    assert found.outcome.usage == outcome.usage
    assert states(found.outcome.steps) == dict.fromkeys(["english", "summary", "keywords", "check"], "succeeded")
    assert [step.request_ids for step in found.outcome.steps or ()] == [(child.request_id,) for child in found.children]
    listed = await place.orchestrator.history.page(HistoryFilter(steps=False), ADMIN)
    assert [one.outcome.request_id for one in listed.entries] == [outcome.request_id]
    under = await place.orchestrator.history.page(HistoryFilter(parent=outcome.request_id), ADMIN)
    assert under.total == 4


async def test_the_chains_own_text_gets_the_outputs_and_streams(place: Place) -> None:
    write_steps(place)
    place.write(
        "chain",
        """
        name: Chain
        target_models: [echo]
        variables: {text: {}}
        steps:
          - {prompt: translate, variables: {text: "{{text}}"}, into: english}
        messages: [{role: user, content: "{{text}} is {{english}}"}]
        checks: {max_words: 3}
        """,
    )
    events = await place.events(Request("chain", {"text": "oui"}))
    assert text_of(events) == "oui is translate: oui"
    outcome = outcome_of(events)
    assert outcome.checks.ok is False
    assert [(step.name, step.state) for step in outcome.steps or ()] == [
        ("english", "succeeded"),
        ("response", "succeeded"),
    ]
    assert len([event for event in events if isinstance(event, Delta)]) > 1
    stats = await place.store.prompt_stats()
    assert (stats["chain"].uses, stats["translate"].uses) == (1, 1)


async def test_steps_of_a_group_run_at_the_same_time(tmp_path: Path) -> None:
    slow = [Scripted(name, ["x"], models=[name], ends=False) for name in ("summarize", "topics")]
    async with herding(tmp_path, echo(), *slow) as place:
        write_steps(place, summarize="summarize", topics="topics")
        place.write("chain", CHAIN)
        run = asyncio.create_task(place.orchestrator.pipeline.run(Request("chain", {"text": "a"}), ADMIN))
        await until(lambda: all(node.open for node in slow))  # neither ends: both are open at once
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
        assert not any(node.open for node in slow)


async def test_a_failing_step_names_itself_and_stops_the_others(tmp_path: Path) -> None:
    bad = Scripted("bad", [BadResponseError("It said nonsense.")], models=["bad"])
    slow = Scripted("slow", ["x"], models=["slow"], ends=False)
    async with herding(tmp_path, echo(), bad, slow) as place:
        write_steps(place, summarize="bad", topics="slow")
        place.write("chain", CHAIN)
        events = []

        async def stream() -> None:
            async for event in place.orchestrator.pipeline.stream(Request("chain", {"text": "a"}), ADMIN):
                events.append(event)

        with pytest.raises(NodeError, match=r"^Step 'summary' failed: It said nonsense\.$") as caught:
            await stream()
        failed = [event for event in events if isinstance(event, StepChanged) and event.state == "failed"]
        assert [event.name for event in failed] == ["summary"]
        assert caught.value.step == "summary"
        found = await entry(place, caught.value.request_id or "")
        assert found.outcome.kind == "chain"
        assert (found.outcome.status, found.outcome.error_type) == ("failed", "node_bad_response")
        assert found.outcome.error == "Step 'summary' failed: It said nonsense."
        assert states(found.outcome.steps) == {
            "english": "succeeded",
            "summary": "failed",
            "keywords": "stopped",
            "check": "waiting",
        }
        by_step = {child.step: child for child in found.children}
        assert {name: child.status for name, child in by_step.items()} == {
            "english": "succeeded",
            "summary": "failed",
            "keywords": "cancelled",
        }
        assert by_step["summary"].error == "It said nonsense."
        assert not slow.open


async def test_limits_are_reserved_for_the_whole_and_settled_exactly(tmp_path: Path) -> None:
    slow = Scripted("slow", ["x"], models=["slow"], ends=False)
    async with herding(tmp_path, echo(), slow) as place:
        write_steps(place)
        place.write("chain", CHAIN)
        request = Request("chain", {"text": "eins zwei"})

        few = replace(GUEST, limits=(Limit("request", 1, 3),))
        with pytest.raises(LimitError, match="4 of 3 requests"):
            await place.orchestrator.pipeline.run(request, few)
        small = replace(GUEST, limits=(Limit("token", 1, 1_000),))
        with pytest.raises(LimitError, match="alone is larger"):
            await place.orchestrator.pipeline.run(request, small)
        assert await place.rows() == []  # nothing began
        who = replace(GUEST, limits=(Limit("request", 1, 8), Limit("token", 1, 100_000), Limit("cost", 1, 1)))
        await place.orchestrator.pipeline.run(request, who)
        alone = replace(OTHER, limits=who.limits)
        for row in [row for row in await place.rows() if row.parent]:  # the same calls, each for itself
            await place.orchestrator.pipeline.run(Request(row.prompt, row.variables), alone)
        settled = await used(place, who)
        assert settled == await used(place, alone)
        assert settled[0] == 4

        write_steps(place, summarize="slow")
        who = replace(who, limits=who.limits[:2])  # the price of that node is not known
        run = asyncio.create_task(place.orchestrator.pipeline.run(request, who))
        await until(lambda: slow.open == 1)
        during = await used(place, who)
        assert during[0] == 8
        assert during[1] > settled[1] + 4 * 256  # as much as four responses may have
        with pytest.raises(LimitError):
            await place.orchestrator.pipeline.run(Request("say"), who)
        chain = next(row for row in await place.rows() if row.kind == "chain" and row.status == "running")
        await place.orchestrator.pipeline.cancel(chain.request_id, who)
        stopped = await run
        assert stopped.status == "cancelled"
        ended = [row for row in await place.rows() if row.parent == stopped.request_id]
        assert (await used(place, who))[0] == 4 + len(ended) == 7
        assert settled[1] < (await used(place, who))[1] < settled[1] + 100


@pytest.mark.parametrize("how", ["cancel", "cancel a step", "leave", "revoke"])
async def test_what_ends_the_chain_ends_all_its_steps(tmp_path: Path, how: str) -> None:
    slow = Scripted("slow", ["x"], models=["slow"], ends=False)
    async with herding(tmp_path, echo(), slow) as place:
        write_steps(place, summarize="slow", topics="slow")
        place.write("chain", CHAIN)
        stream = place.orchestrator.pipeline.stream(Request("chain", {"text": "a"}), ADMIN)
        outcome: Outcome | None = None
        async with asyncio.timeout(LONG), aclosing(stream) as events:
            with suppress(AuthenticationError):
                async for event in events:
                    if isinstance(event, Done):
                        outcome = event.outcome
                    if not isinstance(event, StepChanged) or (event.name, event.state) != ("keywords", "running"):
                        continue
                    await until(lambda: slow.open == 2)
                    if how == "leave":
                        break
                    if how == "revoke":
                        for run in place.orchestrator._active:
                            run.revoke()
                        continue
                    target = event.request_id if how == "cancel" else event.step_id
                    await place.orchestrator.pipeline.cancel(target, ADMIN)
        assert slow.open == 0
        assert place.orchestrator.running() == 0
        rows = {row.step or "": row.status for row in await place.rows()}
        ended = "abandoned" if how == "leave" else "cancelled"
        assert rows == {"": ended, "english": "succeeded", "summary": ended, "keywords": ended}
        assert outcome is None or outcome.status == "cancelled"


async def test_a_caller_who_leaves_at_any_moment_is_charged_what_began(place: Place) -> None:
    write_steps(place)
    place.write("chain", CHAIN)
    request = Request("chain", {"text": "a b"})
    count = len(await place.events(request))
    for left_after in range(count):
        who = replace(GUEST, id=f"guest:{left_after}", limits=(Limit("request", 1, 100),))
        async with aclosing(place.orchestrator.pipeline.stream(request, who)) as events:
            for _ in range(left_after + 1):
                await anext(events)
        rows = [row for row in await place.rows() if row.principal == who.id]
        steps = [row for row in rows if row.parent]
        assert [row.status for row in rows if row.status == "running"] == []
        assert await used(place, who) == [max(1, len(steps))], left_after
        (chain,) = [row for row in rows if row.kind == "chain"]
        named = {id for step in chain.steps or () for id in step.request_ids}
        assert named == {row.request_id for row in steps}
        assert place.orchestrator.running() == 0


async def test_a_step_repeats_over_a_list_in_json_and_gathers_fields(tmp_path: Path) -> None:
    lists = Scripted("lists", ['Here: \n```json\n{"topics": ["red", "blue"], "n": 2}\n```'], models=["lists"])
    async with herding(tmp_path, echo(), lists) as place:
        place.write("list", PLAIN.format(name="list", model="lists", before=""))
        place.write("one", PLAIN.format(name="one", model="echo", before='{\\"is\\": \\"'))
        place.write("all", PLAIN.format(name="all", model="echo", before=""))
        place.write(
            "chain",
            """
            name: Chain
            variables: {text: {}}
            steps:
              - prompt: list
                variables: {text: "{{text}}"}
                fields: {topics: {path: topics, type: list}, n: {path: n, type: number}}
              - name: each_topic
                prompt: one
                each: topics
                variables: {text: '{{item}}"}'}
                fields: {found: is}
              - prompt: all
                when: n == 2 and len(found) == 2
                variables: {text: "{{n}}: {{found}}"}
            """,
        )
        events = await place.events(Request("chain", {"text": "x"}))
        outcome = outcome_of(events)
        assert outcome.answer == "2: red\nblue"
        rows = [row for row in await place.rows() if row.parent]
        assert {row.step for row in rows} == {"list", "each_topic 1", "each_topic 2", "all"}
        (repeated,) = [step for step in outcome.steps or () if step.repeated]
        assert (repeated.name, repeated.state, len(repeated.request_ids)) == ("each_topic", "succeeded", 2)


async def test_a_list_that_is_too_long_and_a_missing_field_name_their_step(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        write_steps(place)
        place.write(
            "long",
            """
            name: Long
            variables: {text: {}}
            steps:
              - {prompt: topics, each: text, max_items: 2, variables: {text: "{{item}}"}, into: many}
              - {prompt: check, variables: {text: "{{many}}"}}
            """,
        )
        with pytest.raises(UserError, match=r"Step 'many' failed: 'text' has 3 items \(max 2\)"):
            await place.orchestrator.pipeline.run(Request("long", {"text": "a\nb\nc"}), ADMIN)
        assert await place.rows() == []
        short = await place.orchestrator.pipeline.run(Request("long", {"text": "a\nb"}), ADMIN)
        assert short.answer == "check: topics: a\ntopics: b"
        place.write(
            "field",
            """
            name: Field
            variables: {text: {}}
            steps:
              - {prompt: topics, variables: {text: "{{text}}"}, fields: {score: score}}
              - {prompt: check, variables: {text: "{{score}}"}}
            """,
        )
        with pytest.raises(UserError, match=r"Step 'topics' failed: The response is not JSON"):
            await place.orchestrator.pipeline.run(Request("field", {"text": "a"}), ADMIN)


async def test_a_skipped_step_makes_no_request_and_its_variables_are_empty_or_otherwise(place: Place) -> None:
    write_steps(place)
    place.write(
        "chain",
        """
        name: Chain
        variables:
          text: {}
          language: {type: choice, choices: [English, French]}
        steps:
          - prompt: translate
            when: language != 'English'
            variables: {text: "{{text}}"}
            into: english
            otherwise: "{{text}}"
          - {prompt: topics, when: len(text) > 100, variables: {text: "{{english}}"}, into: words}
          - {prompt: summarize, variables: {text: "{{english}}[{{words}}]"}, into: short}
          - {prompt: check, when: len(short) > 1000, variables: {text: "{{short}}"}}
        """,
    )
    english = await place.events(Request("chain", {"text": "hi", "language": "English"}))
    assert text_of(english) == outcome_of(english).answer == "summarize: hi[]"
    assert states(outcome_of(english).steps) == {
        "english": "skipped",
        "words": "skipped",
        "short": "succeeded",
        "check": "skipped",
    }
    assert len(await place.rows()) == 2
    french = await place.orchestrator.pipeline.run(Request("chain", {"text": "oui", "language": "French"}), ADMIN)
    assert french.answer == "summarize: translate: oui[]"


async def test_a_chain_of_chains_runs_down_to_the_depth_and_no_further(place: Place) -> None:
    write_steps(place)
    below = "translate"
    for level in range(MAX_DEPTH, 0, -1):
        text = f"""
            name: Level {level}
            variables: {{text: {{}}}}
            steps: [{{prompt: {below}, name: s{level}, variables: {{text: "{{{{text}}}}"}}}}]
            """
        place.write(f"level{level}", text)
        below = f"level{level}"
    who = replace(GUEST, limits=(Limit("request", 1, 10), Limit("token", 1, 10_000)))
    outcome = await place.orchestrator.pipeline.run(Request("level1", {"text": "a"}), who)
    assert outcome.answer == "translate: a"
    rows = await place.rows()
    assert [row.kind for row in rows] == ["step", "chain", "chain", "chain"]
    assert {row.usage.total for row in rows} == {outcome.usage.total}
    alone = replace(OTHER, limits=who.limits)
    await place.orchestrator.pipeline.run(Request("translate", {"text": "a"}), alone)
    assert await used(place, who) == await used(place, alone)
    usage = await place.orchestrator.usage.report(["kind"], HistoryFilter(principal=who.id), ADMIN)
    assert (usage.total.requests, usage.total.input_tokens) == (1, outcome.usage.input_tokens)
    place.write("level0", 'name: Too deep\nsteps: [{prompt: level1, variables: {text: "a"}}]')
    broken = await place.orchestrator.prompts.broken(ADMIN)
    assert [error.message for error in broken] == [
        "prompts/level0.yaml, key 'steps': the chain has more than 3 levels: level0 -> level1 -> level2 -> level3"
    ]


async def test_a_step_that_the_caller_may_not_run_stops_the_chain_before_it_begins(place: Place) -> None:
    write_steps(place)
    place.write("chain", CHAIN)
    who = principal("guest:9", "guest")
    only = replace(who, prompts=("chain", "translate", "summarize", "topics"))
    with pytest.raises(NotFoundError, match="Step 'check' failed: There is no prompt 'check'") as caught:
        await place.orchestrator.pipeline.run(Request("chain", {"text": "a"}), only)
    assert caught.value.step == "check"
    assert await place.rows() == []
    assert (await place.orchestrator.pipeline.run(Request("chain", {"text": "a"}), who)).status == "succeeded"


async def test_a_step_runs_the_version_that_it_names(place: Place) -> None:
    write_steps(place)
    await place.orchestrator.studio.move_label("translate", "prod", 1, ADMIN)
    place.write("translate", PLAIN.format(name="translate", model="echo", before="second: "))
    for reference, said in {"translate@prod": "translate: a", "translate@2": "second: a"}.items():
        place.write("chain", f'name: C\nsteps: [{{prompt: "{reference}", variables: {{text: a}}}}]')
        outcome = await place.orchestrator.pipeline.run(Request("chain"), ADMIN)
        assert outcome.answer == said


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request("chain", {"text": "a"}, turns=(Message("user", "x"),)), "earlier turns"),
        (Request("chain", {"text": "a"}, parameters=Parameters(more={"n": 2})), "one response"),
        (Request("chain", {"text": "a"}, parameters=Parameters(more={"tools": [{}]})), "takes no tools"),
        (Request("chain", {"text": "a"}, attachments=({"type": "image_url"},)), "images, files or tool calls"),
        (Request("chain", {"wrong": "a"}), "no variable 'wrong'"),
    ],
)
async def test_what_a_chain_cannot_do_is_refused_by_name(place: Place, request_: Request, said: str) -> None:
    write_steps(place)
    place.write("chain", CHAIN)
    with pytest.raises(UserError, match=said):
        await place.orchestrator.pipeline.run(request_, ADMIN)
    assert await place.rows() == []


async def test_model_and_parameters_are_those_of_the_last_call(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("echo", "echo", "other")) as place:
        write_steps(place)
        place.write("chain", CHAIN)
        request = Request("chain", {"text": "a"}, model="other", parameters=Parameters(max_tokens=2))
        outcome = await place.orchestrator.pipeline.run(request, ADMIN)
        assert (outcome.answer, outcome.finish_reason) == ("check: summarize:", "length")
        assert [row.model for row in await place.rows() if row.parent] == ["other", "echo", "echo", "echo"]


async def test_stars_of_a_chain_count_for_the_step_that_made_the_response(place: Place) -> None:
    write_steps(place)
    place.write("chain", CHAIN)
    outcome = await place.orchestrator.pipeline.run(Request("chain", {"text": "a"}), ADMIN)
    await place.orchestrator.feedback.rate(outcome.request_id, 5, ADMIN)
    found = await entry(place, outcome.request_id)
    assert found.stars == 5
    last = await entry(place, found.children[-1].request_id)
    assert (last.outcome.step, last.stars) == ("check", 5)
    assert (await place.orchestrator.history.review(HistoryFilter(), ADMIN)).entry is None


async def test_erasing_a_chain_erases_its_steps(place: Place) -> None:
    write_steps(place)
    place.write("chain", CHAIN)
    outcome = await place.orchestrator.pipeline.run(Request("chain", {"text": "canary"}), ADMIN)
    assert await place.accounts.forget([outcome.request_id], ADMIN) == 1
    for row in await place.rows():
        assert "canary" not in f"{row.input}{row.answer}{row.variables}"


async def test_saving_a_chain_that_cannot_run_is_refused(place: Place) -> None:
    write_steps(place)
    place.write("chain", CHAIN)
    await place.orchestrator.prompts.find("chain", ADMIN)
    studio = place.orchestrator.studio
    loop = {
        "name": "Loop",
        "steps": [{"prompt": "chain", "variables": {"text": "a"}, "name": "s"}],
        "variables": {"text": {}},
    }
    with pytest.raises(UserError, match="the chain runs itself: translate -> chain -> translate"):
        await studio.save("translate", loop, ADMIN)
    with pytest.raises(UserError, match="step 'nope' of 'new': there is no prompt 'nope'"):
        await studio.save("new", {"name": "New", "steps": [{"prompt": "nope"}]}, ADMIN)
    with pytest.raises(HerdingError, match="has no '7'"):
        await studio.save("new", {"name": "New", "steps": [{"prompt": "check@7", "variables": {"text": "a"}}]}, ADMIN)
