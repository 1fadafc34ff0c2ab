"""Switches nodes to the models that requests wait for, where an operator lets them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from herding.errors import ConflictError, HerdingError, NodeError
from herding.herd.fleet import Fleet
from herding.nodes.base import Node
from herding.values import LoadProgress

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Demand:
    """What waiting requests need.

    `models` counts the requests by the model that they wait for, where no node serves it and one could be switched to
    it. `nodes` are the names of the nodes that requests wait for as they are.
    """

    models: Mapping[str, int]
    nodes: frozenset[str] = frozenset()


class ModelSwitcher:
    """Switches models, one switch a node at a time, and records each in the feed of the nodes.

    A node with `auto_switch` follows the demand once it has lasted `after_seconds`, when the node is idle and its last
    switch is `every_minutes` ago: models that are wanted in turns do not chase each other.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._since: dict[str, float] = {}
        self._switched_at: dict[str, float] = {}
        self._switching: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def switch(self, name: str, model: str) -> AsyncGenerator[LoadProgress, None]:
        """Switch a node to another model; yields progress. It goes on, and is told of, when the caller leaves."""
        if name in self._switching:
            raise ConflictError(f"Node '{name}' is being switched. Wait until that is done.", param="node")
        node, steps = self._fleet[name], asyncio.Queue[LoadProgress | None]()
        self._switching.add(name)
        task = asyncio.create_task(self._load(node, model, steps), name=f"switch {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        while (step := await steps.get()) is not None:
            yield step
        await task

    async def _load(self, node: Node, model: str, steps: asyncio.Queue[LoadProgress | None]) -> None:
        """All of a switch. None is its last step."""
        name, before = node.name, ", ".join(node.serves) or "nothing"
        try:
            async for progress in node.load(model):
                if progress.done:
                    self._switched_at[name] = self._fleet.clock()
                    self._fleet.events.record(name, "switched", f"from {before} to {model}")
                steps.put_nowait(progress)
        except NodeError as error:
            self._fleet.events.record(name, "switched", f"not to {model}: {error.message}")
            raise
        finally:
            self._switching.discard(name)
            self._fleet.changed.notify()
            steps.put_nowait(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A switch is over; its error is for whoever follows it, and where that is nobody, was told as an event."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, HerdingError):
            log.error("%s broke", task.get_name(), exc_info=error)

    async def follow(self, demand: Demand) -> None:
        """Switch the nodes that are due now; for each model in demand, one node at most."""
        now = self._fleet.clock()
        self._since = {model: self._since.get(model, now) for model in demand.models}
        for model in sorted(demand.models, key=lambda model: self._since[model]):
            for node in list(self._fleet.values()):
                if node.name not in demand.nodes and self._is_due(node, model, now):
                    await self._follow(node, model)
                    break

    def _is_due(self, node: Node, model: str, now: float) -> bool:
        rule = node.auto_switch
        if rule is None or model not in node.offers or node.name in self._switching:
            return False
        if now - self._since[model] < rule.after_seconds or not node.serves:
            return False
        last = self._switched_at.get(node.name)
        if last is not None and now - last < rule.every_minutes * 60:
            return False
        return not self._fleet.slots.load(node.name).running

    async def _follow(self, node: Node, model: str) -> None:
        log.info("Node %s is switched to %s: requests wait for it", node.name, model)
        self._switched_at[node.name] = self._fleet.clock()  # a failed switch is not tried again at once either
        try:
            async with aclosing(self.switch(node.name, model)) as steps:
                async for _ in steps:
                    pass
        except HerdingError as error:
            log.warning("Node %s could not be switched to %s: %s", node.name, model, error.message)
