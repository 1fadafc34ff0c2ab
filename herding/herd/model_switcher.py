"""Loads other models on nodes, on request or because requests wait for them."""

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
    """The demand of waiting requests.

    `models` counts requests by a model that no node serves and that could be loaded. `nodes` are the names of the nodes
    whose present model requests wait for.
    """

    models: Mapping[str, int]
    nodes: frozenset[str] = frozenset()


class ModelSwitcher:
    """Loads models, one at a time per node, and records each load as an event.

    An idle node with `auto_switch` loads a model in demand for at least `after_seconds`, at most once in
    `every_minutes`, so that alternating requests do not cause constant loading.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._since: dict[str, float] = {}
        self._switched_at: dict[str, float] = {}
        self._switching: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, name: str, model: str) -> AsyncGenerator[LoadProgress, None]:
        """Load a model on a node and stream progress; the load continues when the caller leaves."""
        if name in self._switching:
            raise ConflictError(f"Node '{name}' is loading a model. Wait until it has finished.", param="node")
        node, steps = self._fleet[name], asyncio.Queue[LoadProgress | None]()
        self._switching.add(name)
        task = asyncio.create_task(self._load(node, model, steps), name=f"switch {name}")
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        while (step := await steps.get()) is not None:
            yield step
        await task

    async def unload(self, name: str, model: str) -> None:
        """Free the memory of a model on a node, or cancel its loading, and record it as an event."""
        await self._fleet[name].unload(model)
        self._fleet.events.record(name, "unloaded", model)
        self._fleet.changed.notify()

    async def _load(self, node: Node, model: str, steps: asyncio.Queue[LoadProgress | None]) -> None:
        """Load a model and queue its progress, None last."""
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

    def _finish(self, task: asyncio.Task[None]) -> None:
        """Log an unexpected error; other errors are raised to the caller and recorded as events."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, HerdingError):
            log.error("%s failed", task.get_name(), exc_info=error)

    async def follow(self, demand: Demand) -> None:
        """Load each model in demand on one node, if there is one that may load it now."""
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
        log.info("load model on demand (node %s, model %s)", node.name, model)
        self._switched_at[node.name] = self._fleet.clock()  # also delays the next try after a failure
        try:
            async with aclosing(self.load(node.name, model)) as steps:
                async for _ in steps:
                    pass
        except HerdingError as error:
            log.warning("load model failed (node %s, model %s): %s", node.name, model, error.message)
