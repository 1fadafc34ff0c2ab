"""The nodes that are there now, how they are, and how much each does: some come and go while the app runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random

from herding.access.roles import allows
from herding.nodes.base import Node
from herding.routing.breaker import CircuitBreakers
from herding.routing.event_log import EventLog
from herding.routing.scheduler import Signal
from herding.routing.slots import Slots
from herding.store import now_ms
from herding.values import Principal

DRAIN_SECONDS = 60.0


class Fleet(Mapping[str, Node]):
    """Nodes by name. A node that drains gets no new request; those that it has run to their end.

    `clock` is in seconds and never goes back, `wall` in Unix milliseconds. `changed` is notified when a request that
    waits may be able to go on, or never will.
    """

    def __init__(
        self,
        nodes: Mapping[str, Node],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = now_ms,
        rng: Random | None = None,
    ) -> None:
        self._nodes: dict[str, Node] = {}
        self.clock, self.rng = clock, rng or Random()  # noqa: S311 (chance between nodes is no secret)
        self.events = EventLog(wall)
        self.slots = Slots(clock)
        self.health = CircuitBreakers(clock=clock, rng=self.rng, events=self.events)
        self.changed = Signal()
        for node in nodes.values():
            self._enter(node)

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, node: Node) -> None:
        """From now on `node`, which has started, gets requests; it may take the name of one that was removed."""
        self._enter(node)
        self.events.record(node.name, "added", f"a node of the kind {node.kind}")
        self.changed.notify()

    def usable(self, who: Principal) -> list[Node]:
        """Return the nodes that the role of `who` allows."""
        return [node for name, node in self._nodes.items() if allows(who.nodes, name)]

    def takes(self, name: str) -> bool:
        """Whether the node gets new requests."""
        return not self.slots.load(name).draining

    async def drain(self, name: str, *, seconds: float = DRAIN_SECONDS) -> bool:
        """Give the node no more requests; True once none runs on it any more, False if that takes too long."""
        if name not in self._nodes:
            return True
        self.slots.drain(name)
        try:
            async with asyncio.timeout(seconds):
                await self.slots.wait_idle(name)
        except TimeoutError:
            return False
        return True

    def resume(self, name: str) -> None:
        """The node gets requests again."""
        if name in self._nodes:
            self.slots.drain(name, draining=False)
            self.changed.notify()

    async def replace(self, node: Node, *, seconds: float = DRAIN_SECONDS) -> None:
        """Drain the node of that name and put `node`, which has started, in its place at once.

        Requests that come meanwhile wait for it. What runs on the old one for longer than `seconds` breaks off.
        """
        await self.drain(node.name, seconds=seconds)
        old = self._nodes.get(node.name)
        self._enter(node)
        self.events.record(node.name, "changed", f"a node of the kind {node.kind}")
        self.changed.notify()
        if old is not None:
            await old.close()

    async def remove(self, name: str, *, seconds: float = DRAIN_SECONDS) -> None:
        """Drain the node, forget it and close it; what runs longer than `seconds` breaks off."""
        await self.drain(name, seconds=seconds)
        node = self._nodes.pop(name, None)
        if node is not None:
            self.slots.remove(name)
            self.health.remove(name)
            self.events.record(name, "removed")
            self.changed.notify()
            await node.close()

    def _enter(self, node: Node) -> None:
        self._nodes[node.name] = node
        self.slots.remove(node.name)
        self.slots.set_limit(node.name, node.concurrency)
        self.health.remove(node.name)
        node.came_back = partial(self._came_back, node.name)

    def _came_back(self, name: str) -> None:
        """What failed is gone: the new program gets its trial at once, and what waits may go on."""
        if self.health.status(name).state in ("ejected", "trial"):
            self.health.reset(name)
        self.changed.notify()
