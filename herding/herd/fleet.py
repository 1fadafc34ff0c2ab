"""The running nodes with their health, load and events; nodes can be added and removed at run time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from random import Random

from herding.access.roles import allows
from herding.nodes.base import Node
from herding.routing.breaker import CircuitBreakers
from herding.routing.event_log import EventLog
from herding.routing.scheduler import Signal
from herding.routing.slots import Slots
from herding.store import now_ms
from herding.values import NodeStatus, Principal

DRAIN_SECONDS = 60.0


class Fleet(Mapping[str, Node]):
    """The nodes by name. A draining node gets no new requests and finishes its running ones.

    `clock` is monotonic in seconds, `wall` in Unix milliseconds. `changed` is notified when a waiting request may be
    able to start, or can never start. `load_failures` has, by node and model, until when a failed load is not tried
    again on demand, and its reason.
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
        self._down: dict[str, float] = {}
        self.clock, self.rng = clock, rng or Random()  # noqa: S311 (not used for security)
        self.events = EventLog(wall)
        self.slots = Slots(clock)
        self.health = CircuitBreakers(clock=clock, rng=self.rng, events=self.events, is_last=self.is_last)
        self.changed = Signal()
        self.load_failures: dict[tuple[str, str], tuple[float, str]] = {}
        for node in nodes.values():
            self._enter(node)

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, node: Node) -> None:
        """Add a started node."""
        self._enter(node)
        self.events.record(node.name, "added", f"kind {node.kind}")
        self.changed.notify()

    def saw(self, name: str, status: NodeStatus) -> None:
        """Record when a node goes down, and when it is back."""
        if status.state == "down" and name not in self._down:
            self._down[name] = self.clock()
            self.events.record(name, "down", status.detail)
        elif status.state == "ready" and name in self._down:
            self.events.record(name, "up", f"after {self.clock() - self._down.pop(name):.0f} s")

    def usable(self, who: Principal) -> list[Node]:
        """Return the nodes that the role of `who` allows."""
        if "*" in who.nodes:
            return list(self._nodes.values())
        return [node for name, node in self._nodes.items() if allows(who.nodes, name)]

    def takes(self, name: str) -> bool:
        """Return True if the node gets new requests."""
        return not self.slots.load(name).draining

    def is_last(self, name: str) -> bool:
        """Return whether a node serves a model that no other node can serve now."""
        node = self._nodes.get(name)
        models = {*node.serves, *node.embeds, *node.reranks} if node else set()
        for other, found in self._nodes.items():
            if other != name and self.takes(other) and not self.health.is_out(other):
                models -= {*found.serves, *found.embeds, *found.reranks}
        return bool(models)

    def can_load(self, node: Node, model: str) -> bool:
        """Return True if a node may load a model on demand now."""
        if not node.auto_switch or not node.can_load or model not in node.offers or not self.takes(node.name):
            return False
        return self.load_failure(node.name, model) is None

    def load_failure(self, name: str, model: str) -> str | None:
        """Return why a model could not be loaded on a node a moment ago."""
        until, reason = self.load_failures.get((name, model), (0.0, ""))
        return reason if until > self.clock() else None

    async def _drain(self, name: str) -> None:
        """Stop new requests to a node and wait for running ones, but not too long."""
        if name in self._nodes:
            self.slots.drain(name)
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self.slots.wait_idle(name)

    async def replace(self, node: Node) -> None:
        """Drain the node with the same name and replace it by a started node.

        New requests wait for the replacement. Requests that run on the old node after `DRAIN_SECONDS` are cut off.
        """
        await self._drain(node.name)
        old = self._nodes.get(node.name)
        self._enter(node)
        self.events.record(node.name, "changed", f"kind {node.kind}")
        self.changed.notify()
        if old is not None:
            await old.close()

    async def remove(self, name: str) -> None:
        """Drain, remove and close a node; requests that run longer than `DRAIN_SECONDS` are cut off."""
        await self._drain(name)
        node = self._nodes.pop(name, None)
        if node is not None:
            self.slots.remove(name)
            self.health.remove(name)
            self._down.pop(name, None)
            self.events.record(name, "removed")
            self.changed.notify()
            await node.close()

    def _enter(self, node: Node) -> None:
        self._nodes[node.name] = node
        self.slots.remove(node.name)
        self.slots.set_limit(node.name, node.concurrency)
        self.health.remove(node.name)
        self._down.pop(node.name, None)
        node.saw = partial(self.saw, node.name)
        node.came_back = partial(self._came_back, node.name)

    def _came_back(self, name: str) -> None:
        """Retry a node at once whose server has restarted."""
        if self.health.status(name).state in ("ejected", "trial"):
            self.health.reset(name)
        self.changed.notify()
