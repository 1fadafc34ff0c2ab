"""Nodes that failed come back by a small call, without anybody's traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from random import Random

import pytest

from herding.errors import ConnectError
from herding.herd import prober as probing
from herding.herd.fleet import Fleet
from herding.herd.prober import Prober
from herding.nodes.base import Deadlines, Node
from herding.values import Call, Chunk, Embeddings
from tests.support.nodes import PlainConfig, Scripted
from tests.support.until import until


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Moody(Node):
    """Answers, or fails, as it is told; counts what it was asked."""

    well = False

    def __init__(self, name: str = "moody") -> None:
        super().__init__(PlainConfig(name=name), models=["m"])
        self.asked: list[Call] = []

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        self.asked.append(call)
        if not self.well:
            raise ConnectError("away", node=self.name)
        yield Chunk(text="OK")
        yield Chunk(finish_reason="length")


class Stuck(Moody):
    """Takes every question and never answers."""

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        self.asked.append(call)
        await asyncio.sleep(3600)
        yield Chunk(finish_reason="stop")


class Vectors(Node):
    """Makes embeddings only, and those never in time, or it breaks."""

    def __init__(self, *, breaks: bool) -> None:
        super().__init__(PlainConfig(name="vectors", deadlines=Deadlines(total=0.01)))
        self._breaks = breaks

    @property
    def embeds(self) -> tuple[str, ...]:
        return ("e",)

    async def stream(self, call: Call) -> AsyncGenerator[Chunk, None]:
        raise AssertionError
        yield

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        if self._breaks:
            raise RuntimeError("broken")
        await asyncio.sleep(3600)
        raise AssertionError


def eject(fleet: Fleet, name: str) -> None:
    for _ in range(3):
        permit = fleet.health.acquire(name)
        assert permit is not None
        permit.failed(ConnectError("away"))
    assert fleet.health.is_out(name)


def beside_another(node: Node) -> dict[str, Node]:
    """A node, and one that serves the same, so that the first one can be ejected."""
    return {node.name: node, "other": Scripted("other", ["fine"], models=(*node.serves, *node.embeds))}


async def test_a_node_that_answers_again_is_back_and_one_that_does_not_stays_out_longer() -> None:
    node, clock = Moody(), Clock()
    fleet = Fleet(beside_another(node), clock=clock, rng=Random(1))
    prober, pumped = Prober(fleet), []
    fleet.changed.subscribe(lambda: pumped.append(1))
    eject(fleet, "moody")
    assert fleet.health.probes_due() == []
    clock.now += 10
    assert fleet.health.probes_due() == ["moody"]
    await prober.probe("moody")
    assert (fleet.health.status("moody").state, len(node.asked)) == ("ejected", 1)
    assert node.asked[0].parameters.max_tokens == 1
    node.well = True
    clock.now += 20
    await prober.probe("moody")
    assert fleet.health.status("moody").state == "healthy"
    assert [event.kind for event in fleet.events.latest()] == ["recovered", "ejected", "ejected"]
    assert len(pumped) == 2


async def test_one_that_serves_nothing_or_may_not_be_called_is_left_alone() -> None:
    silent, clock = Scripted("silent", ["a"], models=()), Clock()
    fleet = Fleet({"silent": silent}, clock=clock)
    eject(fleet, "silent")
    await Prober(fleet).probe("silent")
    clock.now += 10
    await Prober(fleet).probe("silent")
    await Prober(fleet).probe("gone")
    assert silent.calls == []


async def test_an_engine_that_was_started_again_gets_its_trial_at_once() -> None:
    node = Moody()
    fleet = Fleet({"moody": node}, clock=Clock())
    eject(fleet, "moody")
    node.came_back()
    assert fleet.health.status("moody").state == "trial"
    assert fleet.health.allows("moody")


async def test_a_node_that_keeps_its_probe_waiting_keeps_no_other_from_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "INTERVAL_SECONDS", 0.001)
    stuck, moody, clock = Stuck("stuck"), Moody(), Clock()
    fleet = Fleet({"stuck": stuck, "moody": moody}, clock=clock, rng=Random(1))
    eject(fleet, "stuck")
    clock.now += 10
    watching = asyncio.create_task(Prober(fleet).watch())
    try:
        await until(lambda: stuck.asked)
        eject(fleet, "moody")
        moody.well = True
        clock.now += 20
        await until(lambda: fleet.health.status("moody").state == "healthy")
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert len(stuck.asked) == 1


@pytest.mark.parametrize("breaks", [False, True])
async def test_embeddings_that_do_not_come_leave_the_node_out(*, breaks: bool) -> None:
    clock = Clock()
    fleet = Fleet(beside_another(Vectors(breaks=breaks)), clock=clock, rng=Random(1))
    eject(fleet, "vectors")
    clock.now += 10
    async with asyncio.timeout(20):
        await Prober(fleet).probe("vectors")
    assert fleet.health.status("vectors").state == "ejected"
