"""Switches nodes to the models that requests wait for, where an operator lets them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from herding.errors import ConflictError, HerdingError, NodeError
from herding.herd.fleet import Fleet
from herding.nodes.base import Node
from herding.values import LoadProgress

EVERY = 0.5
"""Seconds between two looks at what requests wait for."""

log = logging.getLogger(__name__)


class ModelSwitcher:
    """Switches models, one switch a node at a time, and tells of each in the feed of the nodes.

    `wanted` counts the requests that wait for a model which nobody serves, and could be switched to, by model;
    `waited_for` tells whether any wait for what a node serves now. A node with `auto_switch` follows the demand once
    it has lasted `after_seconds`, when the node is idle and its last switch is `every_minutes` ago: models that are
    wanted in turns do not chase each other.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        wanted: Callable[[], Mapping[str, int]],
        waited_for: Callable[[Node], bool],
    ) -> None:
        self._fleet, self._wanted, self._waited_for = fleet, wanted, waited_for
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
            self._fleet.changed()
            steps.put_nowait(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A switch is over; its error is for whoever follows it, and where that is nobody, was told as an event."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, HerdingError):
            log.error("%s broke", task.get_name(), exc_info=error)

    async def watch(self) -> None:
        """Runs as long as the app: follows the demand."""
        while True:
            await asyncio.sleep(EVERY)
            if any(node.auto_switch for node in self._fleet.values()):
                await self.look()

    async def look(self) -> None:
        """Switch what is due now; for each model that is waited for, one node at most."""
        now, wanted = self._fleet.clock(), self._wanted()
        self._since = {model: self._since.get(model, now) for model in wanted}
        for model in sorted(wanted, key=lambda model: self._since[model]):
            node = next((node for node in self._fleet.values() if self._may(node, model, now)), None)
            if node is not None:
                await self._follow(node, model)

    def _may(self, node: Node, model: str, now: float) -> bool:
        rule = node.auto_switch
        if rule is None or model not in node.offers or node.name in self._switching:
            return False
        if now - self._since[model] < rule.after_seconds or not node.serves:
            return False
        last = self._switched_at.get(node.name)
        if last is not None and now - last < rule.every_minutes * 60:
            return False
        return not self._fleet.slots.load(node.name).running and not self._waited_for(node)

    async def _follow(self, node: Node, model: str) -> None:
        log.info("Node %s is switched to %s: requests wait for it", node.name, model)
        self._switched_at[node.name] = self._fleet.clock()  # a failed switch is not tried again at once either
        try:
            async with aclosing(self.switch(node.name, model)) as steps:
                async for _ in steps:
                    pass
        except HerdingError as error:
            log.warning("Node %s could not be switched to %s: %s", node.name, model, error.message)
