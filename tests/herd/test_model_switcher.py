"""Nodes follow the models that requests wait for, where they may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from herding.errors import BadResponseError, ConflictError, NoNodeError
from herding.nodes.base import AutoSwitch, Node
from herding.values import Call, Chunk, LoadProgress, Queued, Request
from tests.support.herding import ADMIN, Clock, Place, herding, outcome_of

EAGER = AutoSwitch(after_seconds=0, every_minutes=10)


class Switchable(Node):
    """Says the name of the model that it was switched to last; one that is `broken` cannot be loaded."""

    kind = "switchable"

    def __init__(self, name: str, *models: str, rule: AutoSwitch | None = EAGER, broken: Sequence[str] = ()) -> None:
        super().__init__(name, models=models[:1], concurrency=1)
        self.auto_switch = rule
        self._offers, self._broken = models, broken
        self.loaded: list[str] = []
        self.gate, self.held = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.held.set()

    @property
    def offers(self) -> tuple[str, ...]:
        return self._offers

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        await self.gate.wait()
        yield Chunk(text=self.models[0])
        yield Chunk(finish_reason="stop")

    async def load(self, model: str) -> AsyncGenerator[LoadProgress, None]:
        self.loaded.append(model)
        yield LoadProgress(0.5, "loading")
        await self.held.wait()
        if model in self._broken:
            raise BadResponseError("it has no weights")
        self.models = (model,)
        yield LoadProgress(1.0, "ready", done=True)


async def asked(place: Place, model: str) -> str:
    return (await place.orchestrator.pipeline.run(Request("say", model=model), ADMIN)).answer


async def follow_demand(place: Place) -> None:
    """What the app does every half second."""
    await place.orchestrator._switcher.follow(place.orchestrator._queue.demand())


async def until_waiting(place: Place, number: int) -> None:
    async with asyncio.timeout(60):
        while len(place.orchestrator._queue) < number:  # noqa: ASYNC110 (a test may look often)
            await asyncio.sleep(0.01)


async def test_a_model_that_requests_wait_for_is_loaded_once(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two")
    async with herding(tmp_path, node, wait_seconds=300) as place:
        waits = [asyncio.create_task(asked(place, "two")) for _ in range(3)]
        await until_waiting(place, 3)
        await follow_demand(place)
        assert await asyncio.gather(*waits) == ["two"] * 3
        assert node.loaded == ["two"]
        newest = place.herd.events.latest()[0]
        assert (newest.node, newest.kind, newest.detail) == ("a", "switched", "from one to two")


async def test_models_that_are_wanted_in_turns_do_not_chase_each_other(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two")
    clock = Clock()
    async with herding(tmp_path, node, wait_seconds=60, tick=clock) as place:
        first = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 1)
        await follow_demand(place)
        assert await first == "two"
        second = asyncio.create_task(asked(place, "one"))
        await until_waiting(place, 1)
        for _ in range(3):
            await follow_demand(place)
        clock.ahead = 61
        with pytest.raises(NoNodeError):
            await second
        assert node.loaded == ["two"]


async def test_a_node_is_not_taken_from_those_that_use_it(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two")
    async with herding(tmp_path, node, wait_seconds=300) as place:
        node.gate.clear()
        running = [asyncio.create_task(asked(place, "one")) for _ in range(2)]
        waits = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 2)
        await follow_demand(place)
        assert node.loaded == []
        node.gate.set()
        assert await asyncio.gather(*running) == ["one", "one"]
        await follow_demand(place)
        assert await waits == "two"


async def test_demand_must_last(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two", rule=AutoSwitch(after_seconds=60))
    clock = Clock()
    async with herding(tmp_path, node, wait_seconds=50, tick=clock) as place:
        waits = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 1)
        await follow_demand(place)
        clock.ahead = 51
        with pytest.raises(NoNodeError):
            await waits
        assert node.loaded == []


async def test_without_leave_nothing_is_switched_and_nobody_waits(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two", rule=None)
    async with herding(tmp_path, node) as place:
        with pytest.raises(NoNodeError, match="Switch a to it"):
            await asked(place, "two")


async def test_a_switch_that_fails_is_told_and_not_tried_at_once_again(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two", broken=["two"])
    clock = Clock()
    async with herding(tmp_path, node, wait_seconds=50, tick=clock) as place:
        waits = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 1)
        for _ in range(3):
            await follow_demand(place)
        clock.ahead = 51
        with pytest.raises(NoNodeError):
            await waits
        assert node.loaded == ["two"]
        assert "not to two" in place.herd.events.latest()[0].detail
        assert await asked(place, "one") == "one"


async def test_whoever_waits_is_told_for_what(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two")
    async with herding(tmp_path, node, wait_seconds=300) as place:
        waits = asyncio.create_task(place.events(Request("say", model="two")))
        await until_waiting(place, 1)
        await follow_demand(place)
        events = await waits
        queued = next(event for event in events if isinstance(event, Queued))
        assert (queued.position, queued.reason) == (1, "a is switched to its model when idle")
        assert outcome_of(events).node == "a"


async def test_a_switch_whose_caller_leaves_goes_on_and_is_told(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two", broken=["three"])
    async with herding(tmp_path, node) as place:
        for model, told in (("two", "from one to two"), ("three", "not to three: it has no weights")):
            node.held.clear()
            steps = place.orchestrator.nodes.load_model("a", model, ADMIN)
            assert not (await anext(steps)).done
            await steps.aclose()
            with pytest.raises(ConflictError, match="is loading a model"):
                await anext(place.orchestrator.nodes.load_model("a", "one", ADMIN))
            node.held.set()
            async with asyncio.timeout(60):
                while place.orchestrator._switcher._switching:  # noqa: ASYNC110 (nobody follows it any more)
                    await asyncio.sleep(0.01)
            assert place.herd.events.latest()[0].detail == told
        assert await asked(place, "two") == "two"


async def test_one_switch_at_a_time(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two")
    async with herding(tmp_path, node) as place:
        node.held.clear()
        first = place.orchestrator.nodes.load_model("a", "two", ADMIN)
        await anext(first)
        with pytest.raises(ConflictError, match="is loading a model"):
            await anext(place.orchestrator.nodes.load_model("a", "one", ADMIN))
        node.held.set()
        assert [step.done async for step in first] == [True]
