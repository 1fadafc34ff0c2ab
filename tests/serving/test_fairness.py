"""A thousand waiting requests delay somebody else's single one by one service time and one slot at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from herding.errors import LimitError, QueueFullError
from herding.nodes.base import Node
from herding.routing.fair_queue import MAX_PER_PRINCIPAL
from herding.values import Call, Chunk, Principal, Queued, Request
from tests.support.herding import Place, herding
from tests.support.nodes import PlainConfig
from tests.support.people import principal
from tests.support.until import until

pytestmark = pytest.mark.one_database

GREEDY, MODEST = principal("greedy", "user"), principal("modest", "user")
MODELS = ("echo", "second", "third")
SERVICE = 1
SLOT = 1


class Gated(Node):
    """Ends one of the calls that it runs, the oldest, whenever it is told to; `begun` are the texts of all calls."""

    def __init__(self, *models: str, concurrency: int) -> None:
        super().__init__(PlainConfig(name="gated", concurrency=concurrency), models=models)
        self.begun: list[str] = []
        self._gates: list[asyncio.Event] = []

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        gate = asyncio.Event()
        self._gates.append(gate)
        assert call.messages
        self.begun.append(call.messages[-1].content)
        await gate.wait()
        yield Chunk(text="done", finish_reason="stop")

    def end_one(self) -> None:
        self._gates.pop(0).set()

    def end_all(self) -> None:
        while self._gates:
            self.end_one()


async def ask(place: Place, text: str, who: Principal, model: str = "echo") -> str:
    try:
        return (await place.orchestrator.pipeline.run(Request("say", {"text": text}, model=model), who)).status
    except LimitError as error:
        return error.type


def waiting(place: Place) -> int:
    return len(place.orchestrator._queue)


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [1, 2, 4])
@pytest.mark.parametrize("models", [MODELS[:1], MODELS], ids=["one model", "many models"])
@pytest.mark.parametrize("ended", [0, 1, 5])
async def test_a_single_request_is_not_delayed_by_a_thousand_of_somebody_else(
    tmp_path: Path, concurrency: int, models: tuple[str, ...], ended: int
) -> None:
    node = Gated(*MODELS, concurrency=concurrency)
    async with herding(tmp_path, node, wait_seconds=300) as place:
        count = MAX_PER_PRINCIPAL + concurrency
        asked = [(f"greedy {number}", models[number % len(models)]) for number in range(count)]
        greedy = [asyncio.create_task(ask(place, text, GREEDY, model)) for text, model in asked]
        await until(lambda: waiting(place) == MAX_PER_PRINCIPAL)
        for number in range(ended):  # wherever in the round the newcomer meets them
            node.end_one()
            await until(lambda number=number: len(node.begun) == concurrency + number + 1)
        before = len(node.begun)
        modest = asyncio.create_task(ask(place, "modest", MODEST))
        await until(lambda: waiting(place) == MAX_PER_PRINCIPAL - ended + 1)
        for number in range(SERVICE + SLOT):
            node.end_one()
            await until(lambda number=number: len(node.begun) == before + number + 1)
        assert "modest" in node.begun[before:]
        while not modest.done():
            node.end_all()
            await asyncio.sleep(0.005)
        assert await modest == "succeeded"
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)


async def test_more_tokens_are_not_more_turns_and_too_many_are_refused(tmp_path: Path) -> None:
    node = Gated("echo", concurrency=1)
    tokens = [replace(GREEDY, id=f"greedy/{number}", account="greedy") for number in range(4)]
    async with herding(tmp_path, node, wait_seconds=300) as place:
        tasks = [asyncio.create_task(ask(place, "greedy", tokens[n % 4])) for n in range(MAX_PER_PRINCIPAL + 1)]
        await until(lambda: waiting(place) == MAX_PER_PRINCIPAL)
        assert [await ask(place, "greedy", token) for token in tokens] == [QueueFullError.type] * 4
        modest = asyncio.create_task(ask(place, "modest", MODEST))
        await until(lambda: waiting(place) == MAX_PER_PRINCIPAL + 1)
        for number in range(SERVICE + SLOT):
            node.end_one()
            await until(lambda number=number: len(node.begun) == number + 2)
        assert "modest" in node.begun
        for task in (*tasks, modest):
            task.cancel()
        await asyncio.gather(*tasks, modest, return_exceptions=True)


async def test_the_place_that_is_told_is_that_of_the_next_round(tmp_path: Path) -> None:
    node = Gated("echo", concurrency=1)
    async with herding(tmp_path, node, wait_seconds=300) as place:
        greedy = [asyncio.create_task(ask(place, "greedy", GREEDY)) for _ in range(101)]
        await until(lambda: waiting(place) == 100)
        events = place.orchestrator.pipeline.stream(Request("say"), MODEST)
        queued = await anext(events)
        assert isinstance(queued, Queued)
        assert queued.position <= SERVICE + SLOT
        await events.aclose()
        for task in greedy:
            task.cancel()
        await asyncio.gather(*greedy, return_exceptions=True)


async def test_whoever_names_the_only_model_stands_in_the_same_line_as_those_who_do_not(tmp_path: Path) -> None:
    node = Gated("echo", concurrency=1)
    async with herding(tmp_path, node, wait_seconds=300) as place:
        before = [asyncio.create_task(ask(place, "named", GREEDY)) for _ in range(6)]
        await until(lambda: waiting(place) == 5)
        events = place.orchestrator.pipeline.stream(Request("say"), GREEDY)
        queued = await anext(events)
        assert isinstance(queued, Queued)
        assert queued.position == 6
        await events.aclose()
        for task in before:
            task.cancel()
        await asyncio.gather(*before, return_exceptions=True)
