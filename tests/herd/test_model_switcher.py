"""Nodes follow the models that requests wait for, where they may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from herding.access.operations import MANAGE_NODES
from herding.errors import AccessError, BadResponseError, NodeBusyError, NoNodeError
from herding.nodes.base import AutoSwitch, Node
from herding.values import Call, Chunk, LoadProgress, Queued, Request
from tests.support.herding import ADMIN, Clock, Place, herding, outcome_of
from tests.support.nodes import PlainConfig

EAGER = AutoSwitch(after_seconds=0, every_minutes=10)


class Switchable(Node):
    """Says the name of the model that it was switched to last; one that is `broken` cannot be loaded."""

    def __init__(self, name: str, *models: str, rule: AutoSwitch | None = EAGER, broken: Sequence[str] = ()) -> None:
        super().__init__(PlainConfig(name=name, concurrency=1), models=models[:1])
        self.auto_switch = rule
        self._offers, self._broken = models, broken
        self.loaded: list[str] = []
        self.busy = False
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
        if self.busy:
            raise NodeBusyError("requests run", status=503, retry_after=1)
        yield LoadProgress(0.5, "loading")
        await self.held.wait()
        if model in self._broken:
            raise BadResponseError("it has no weights")
        self.models = (model,)
        yield LoadProgress(1.0, "ready", done=True)

    async def unload(self, model: str) -> None:
        self.models = ()


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
        assert (newest.node, newest.kind, newest.detail) == ("a", "switched", "loaded two")


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


async def test_a_node_without_room_is_asked_again_while_the_request_waits(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two", rule=AutoSwitch(after_seconds=0, every_minutes=0))
    clock = Clock()
    node.busy = True
    async with herding(tmp_path, node, wait_seconds=300, tick=clock) as place:
        waits = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 1)
        for _ in range(3):
            await follow_demand(place)
        assert node.loaded == ["two"]
        node.busy, clock.ahead = False, 2
        await follow_demand(place)
        assert await waits == "two"
        assert node.loaded == ["two", "two"]


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
        with pytest.raises(NoNodeError, match="Load it on a in the Nodes tab"):
            await asked(place, "two")


async def test_a_load_that_fails_ends_the_request_with_its_reason_and_is_not_tried_at_once_again(
    tmp_path: Path,
) -> None:
    node = Switchable("a", "one", "two", broken=["two"], rule=AutoSwitch(after_seconds=0, every_minutes=0))
    clock = Clock()
    async with herding(tmp_path, node, wait_seconds=50, tick=clock) as place:
        waits = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 1)
        await follow_demand(place)
        with pytest.raises(NoNodeError, match="it has no weights"):
            await waits
        with pytest.raises(NoNodeError, match="it has no weights"):
            await asked(place, "two")
        assert node.loaded == ["two"]
        assert place.herd.events.latest()[0].detail == "not loaded two: it has no weights"
        assert await asked(place, "one") == "one"
        clock.ahead = 31
        waits = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 1)
        await follow_demand(place)
        with pytest.raises(NoNodeError, match="it has no weights"):
            await waits
        assert node.loaded == ["two", "two"]


async def test_whoever_waits_is_told_for_what(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two")
    async with herding(tmp_path, node, wait_seconds=300) as place:
        waits = asyncio.create_task(place.events(Request("say", model="two")))
        await until_waiting(place, 1)
        await follow_demand(place)
        events = await waits
        queued = next(event for event in events if isinstance(event, Queued))
        assert (queued.position, queued.reason) == (1, "a will load its model")
        assert outcome_of(events).node == "a"


async def test_a_load_whose_caller_leaves_goes_on_and_is_told(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two", broken=["three"])
    async with herding(tmp_path, node) as place:
        for model, told in (("two", "loaded two"), ("three", "not loaded three: it has no weights")):
            node.held.clear()
            steps = place.orchestrator.nodes.load_model("a", model, ADMIN)
            assert not (await anext(steps)).done
            await steps.aclose()
            node.held.set()
            async with asyncio.timeout(60):
                while place.orchestrator._switcher._tasks:  # noqa: ASYNC110 (nobody follows it any more)
                    await asyncio.sleep(0.01)
            assert place.herd.events.latest()[0].detail == told
        assert await asked(place, "two") == "two"


async def test_a_model_in_demand_is_loaded_on_one_node_only(tmp_path: Path) -> None:
    nodes = [Switchable(name, "one", "two") for name in ("a", "b")]
    async with herding(tmp_path, *nodes, wait_seconds=300) as place:
        for node in nodes:
            node.held.clear()
        waits = asyncio.create_task(asked(place, "two"))
        await until_waiting(place, 1)
        for _ in range(3):
            await follow_demand(place)
        assert [node.loaded for node in nodes] == [["two"], []]
        for node in nodes:
            node.held.set()
        assert await waits == "two"


async def test_unloading_is_told_and_needs_a_node_that_can(tmp_path: Path) -> None:
    node = Switchable("a", "one", "two")
    async with herding(tmp_path, node) as place:
        await place.orchestrator.nodes.unload_model("a", "one", ADMIN)
        assert (place.herd.events.latest()[0].kind, place.herd.events.latest()[0].detail) == ("unloaded", "one")
        assert node.serves == ()


class TakesAny(Switchable):
    """Loads models of the hub too."""

    @property
    def takes_hub_models(self) -> bool:
        return True


async def test_a_model_that_is_not_offered_needs_the_right_to_manage_nodes(tmp_path: Path) -> None:
    node = TakesAny("a", "one", "two")
    operator = replace(ADMIN, rights=ADMIN.rights - {MANAGE_NODES})
    async with herding(tmp_path, node) as place:
        nodes = place.orchestrator.nodes
        assert [step.done async for step in nodes.load_model("a", "two", operator)][-1]
        with pytest.raises(AccessError, match="manage_nodes"):
            await anext(nodes.load_model("a", "someone/new", operator))
        assert [step.done async for step in nodes.load_model("a", "someone/new", ADMIN)][-1]
        assert node.loaded == ["two", "someone/new"]


async def test_small_models_name_the_nodes_that_offer_them(tmp_path: Path) -> None:
    async with herding(tmp_path, Switchable("a", "one", "Qwen/Qwen3-0.6B")) as place:
        found = {model.id: model.nodes for model in await place.orchestrator.nodes.small_models(ADMIN)}
        assert found["Qwen/Qwen3-0.6B"] == ("a",)
        assert found["HuggingFaceTB/SmolLM3-3B"] == ()
