"""What a role lets its people use: prompts, nodes, and how much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event

from herding.errors import HerdingError, LimitError, NoNodeError, NotFoundError, StoreError
from herding.values import (
    Call,
    Chunk,
    Delta,
    Done,
    HistoryFilter,
    Limit,
    Message,
    NodeStats,
    Outcome,
    Parameters,
    Principal,
    Request,
    Started,
    Usage,
)
from tests.support.database import held_writer
from tests.support.herding import ADMIN, GUEST, OTHER, Place, herding
from tests.support.nodes import Scripted, echo
from tests.support.until import until

SAY = Request("say")


def limited(*limits: Limit, who: Principal = GUEST) -> Principal:
    return replace(who, limits=limits)


async def test_of_fifty_at_once_the_limit_lets_ten_in_again_and_again(tmp_path: Path) -> None:
    for round in range(5):
        async with herding(tmp_path / str(round), echo("echo")) as place:
            who = limited(Limit("request", 1, 10))
            ends = await asyncio.gather(
                *(place.orchestrator.pipeline.run(SAY, who) for _ in range(50)), return_exceptions=True
            )
            assert sum(isinstance(end, Outcome) for end in ends) == 10
            assert sum(isinstance(end, LimitError) for end in ends) == 40
            assert len(await place.rows()) == 10


async def test_a_refusal_names_limit_and_use_and_when_to_come_back(place: Place) -> None:
    who = limited(Limit("request", 24, 100), Limit("request", 1, 1))
    await place.orchestrator.pipeline.run(SAY, who)
    with pytest.raises(LimitError, match="Limit reached: 1 of 1 request in 1 hour used") as caught:
        await place.orchestrator.pipeline.run(SAY, who)
    assert 0 < caught.value.retry_after <= 3600


async def test_a_used_up_limit_stops_neither_looking_nor_rating_nor_others(place: Place) -> None:
    who = limited(Limit("request", 1, 1))
    outcome = await place.orchestrator.pipeline.run(SAY, who)
    assert await place.orchestrator.prompts.list_all(who)
    assert (await place.orchestrator.history.page(HistoryFilter(), who)).total == 1
    assert (await place.orchestrator.feedback.rate(outcome.request_id, 5, who)).stars == 5
    await place.orchestrator.pipeline.run(SAY, limited(Limit("request", 1, 1), who=OTHER))


async def test_tokens_are_reserved_before_and_settled_after(place: Place) -> None:
    who = limited(Limit("token", 1, 300))
    with pytest.raises(LimitError, match="alone is larger"):
        await place.orchestrator.pipeline.run(replace(SAY, parameters=Parameters(max_tokens=1000)), who)
    small = replace(SAY, parameters=Parameters(max_tokens=100))
    for _ in range(5):  # each reserves more than a hundred, and has four tokens by our count in each direction
        await place.orchestrator.pipeline.run(small, who)
    [use] = await place.store.usage(who.id, who.limits)
    assert use.used == 5 * (4 + 4)


@pytest.mark.one_database
async def test_a_stream_passes_nothing_on_before_its_request_counts(tmp_path: Path) -> None:
    who, node = limited(Limit("request", 1, 100)), Scripted("n", ["one ", "two"])
    async with herding(tmp_path, node) as place:
        pipeline = place.orchestrator.pipeline
        await pipeline.run(SAY, who)  # from here on the use of the limit is known
        async with aclosing(pipeline.stream(SAY, who)) as events:
            with held_writer(place.store):
                assert isinstance(await anext(events), Started)
                delta = asyncio.ensure_future(anext(events))
                await until(lambda: len(node.calls) == 2)  # the node is called meanwhile
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not delta.done()
            assert isinstance(await delta, Delta)
            assert [type(event) async for event in events] == [Delta, Done]


@pytest.mark.one_database
async def test_a_request_that_cannot_be_entered_ends_its_call_of_the_node(tmp_path: Path) -> None:
    who, node = limited(Limit("request", 1, 100)), Scripted("n", ["one"], ends=False)
    async with herding(tmp_path, Scripted("first", ["one"], models=["other"]), node) as place:
        pipeline = place.orchestrator.pipeline
        await pipeline.run(replace(SAY, model="other"), who)
        event.listen(place.store._writer._engine, "begin", read_only)
        with pytest.raises(StoreError, match="read-only"):
            _ = [step async for step in pipeline.stream(SAY, who)]
        assert (len(node.calls), node.open) == (1, 0)
        with pytest.raises(StoreError, match="read-only"):  # it fails now: the node is not even called
            await pipeline.run(SAY, who)
        assert len(node.calls) == 1


def read_only(connection: Connection) -> None:
    """Let nothing be written."""
    connection.exec_driver_sql("PRAGMA query_only = ON")


async def test_what_is_used_counts_after_a_restart(tmp_path: Path) -> None:
    who = limited(Limit("request", 1, 2))
    for _ in range(2):
        async with herding(tmp_path, echo("echo")) as place:
            await place.orchestrator.pipeline.run(SAY, who)
    async with herding(tmp_path, echo("echo")) as place:
        with pytest.raises(LimitError):
            await place.orchestrator.pipeline.run(SAY, who)


async def test_a_failed_request_counts_as_a_request(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("echo")) as place:
        who = limited(Limit("request", 1, 1))
        with pytest.raises(NotFoundError):
            await place.orchestrator.pipeline.run(replace(SAY, model="nobody has it"), who)
        with pytest.raises(LimitError):
            await place.orchestrator.pipeline.run(SAY, who)


async def test_prompts_that_a_role_does_not_name_do_not_exist_for_it(place: Place) -> None:
    place.write("team/plan", "name: Plan\ntarget_models: [echo]\nprompt: secret")
    who = replace(GUEST, prompts=("say",))
    assert [info.key for info in await place.orchestrator.prompts.list_all(who)] == ["say"]
    await place.orchestrator.pipeline.run(SAY, who)
    for attempt in (
        place.orchestrator.pipeline.run(Request("team/plan"), who),
        place.orchestrator.pipeline.preview(Request("team/plan"), who),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert {
        info.key for info in await place.orchestrator.prompts.list_all(replace(GUEST, prompts=("say", "team/*")))
    } == {
        "say",
        "team/plan",
    }


async def test_nodes_that_a_role_does_not_name_are_neither_used_nor_shown(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("cheap"), echo("dear")) as place:
        who = replace(ADMIN, nodes=("dear",))
        for _ in range(3):
            assert (await place.orchestrator.pipeline.run(SAY, who)).node == "dear"
        assert [node.name for node in await place.orchestrator.nodes.list_all(who)] == ["dear"]
        [info] = await place.orchestrator.prompts.list_all(who)
        assert info.served == {"echo": ("dear",)}
        with pytest.raises(NoNodeError):
            await place.orchestrator.pipeline.run(SAY, replace(ADMIN, nodes=()))
        with pytest.raises(HerdingError):
            _ = [step async for step in place.orchestrator.nodes.load_model("cheap", "echo", who)]
        stats = {node.name: node.stats for node in await place.orchestrator.nodes.list_all(ADMIN)}
        assert stats["cheap"] == NodeStats()


class Reporting(Scripted):
    """Reports a usage, whatever it says."""

    def __init__(self, name: str, words: list[str], usage: Usage) -> None:
        super().__init__(name, words)
        self._usage = usage

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        async for chunk in super().stream(call):
            yield replace(chunk, usage=self._usage) if chunk.finish_reason else chunk


LONG_TEXT = "word " * 300


@pytest.mark.parametrize(
    ("reported", "used", "shown"),
    [
        (Usage(0, 0, "node"), 384 + 5, (384, 5, "bounded")),
        (Usage(1, 1, "node"), 375 + 5, (1, 1, "node")),
        (Usage(400, 20, "node"), 420, (400, 20, "node")),
        (Usage(400, 90, "node"), 384 + 50, (400, 50, "bounded")),
        (Usage(9_000_000, 9_000_000, "node"), 384 + 50, (384, 50, "bounded")),
    ],
)
async def test_no_report_of_a_node_moves_a_limit_below_our_count_or_beyond_the_reservation(
    tmp_path: Path, reported: Usage, used: int, shown: tuple[int, int, str]
) -> None:
    who = replace(ADMIN, limits=(Limit("token", 24, 100_000),))
    asked = Request(messages=(Message("user", LONG_TEXT),), model="echo", parameters=Parameters(max_tokens=50))
    async with herding(tmp_path, Reporting("n", ["four tokens, about"], reported)) as place:
        outcome = await place.orchestrator.pipeline.run(asked, who)
        [use] = await place.store.usage(who.id, who.limits)
        assert use.used == used
        assert (outcome.usage.input_tokens, outcome.usage.output_tokens, outcome.usage.source) == shown
        assert (await place.row()).usage == outcome.usage
