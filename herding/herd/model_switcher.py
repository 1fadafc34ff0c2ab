"""Loads models on nodes, on request or because requests wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from herding.errors import HerdingError, LoadCancelledError, NodeBusyError, NodeError
from herding.herd.fleet import Fleet
from herding.nodes.base import Node
from herding.values import LoadProgress
from herding.values.sizes import format_size

RETRY_SECONDS = 30.0
"""A model that could not be loaded on demand is not tried again on its node for so long."""

BUSY_SECONDS = 1.0
"""The same, where running requests on the node are the only reason."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand of waiting requests: their number by a model that no node serves and that could be loaded."""

    models: Mapping[str, int]


class ModelSwitcher:
    """Loads models and records each load as an event of its node.

    A node with `auto_switch` loads a model in demand for at least `after_seconds`, at most once in `every_minutes`.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._since: dict[str, float] = {}
        self._loaded_at: dict[str, float] = {}
        self._busy_until: dict[tuple[str, str], float] = {}
        self._loading: Counter[str] = Counter()
        self._running: Counter[tuple[str, str]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def load(self, name: str, model: str) -> AsyncGenerator[LoadProgress, None]:
        """Load a model on a node and stream progress; the load continues when the caller leaves."""
        steps = asyncio.Queue[LoadProgress | None]()
        task = self._start(self._fleet[name], model, steps)
        while (step := await steps.get()) is not None:
            yield step
        await task

    async def unload(self, name: str, model: str) -> None:
        """Free the memory of a model on a node, or cancel its loading, and record it as an event."""
        node = self._fleet[name]
        loads, serves = model in node.expects, model in node.serves
        await node.unload(model)
        if loads or serves:  # else only the error of its last load is gone
            self._fleet.events.record(name, "cancelled" if loads else "unloaded", model)
        self._fleet.load_failures.pop((name, model), None)
        self._fleet.changed.notify()

    async def remove(self, name: str, model: str, *, delete_files: bool) -> None:
        """Take a model from the list of a node, and record it as an event; the files of the model may go with it."""
        node = self._fleet[name]
        if delete_files:
            await node.unload(model)
            await node.delete_files(model)
        await node.remove(model)
        self._fleet.events.record(name, "unlisted", model)
        self._fleet.load_failures.pop((name, model), None)
        self._fleet.changed.notify()

    async def delete_files(self, name: str, model: str) -> int:
        """Delete the files of a model on a node, and record it as an event; return their bytes."""
        size = await self._fleet[name].delete_files(model)
        self._fleet.events.record(name, "deleted", f"{model} ({format_size(size)})")
        self._fleet.load_failures.pop((name, model), None)
        return size

    async def follow(self, demand: Demand) -> None:
        """Start loading each model in demand on one node, if there is one that may load it now."""
        now = self._fleet.clock()
        self._since = {model: self._since.get(model, now) for model in demand.models}
        wanted = (model for model in demand.models if not self._loading[model])
        for model in sorted(wanted, key=lambda model: self._since[model]):
            for node in list(self._fleet.values()):
                if self._is_due(node, model, now):
                    log.info("load model on demand (node %s, model %s)", node.name, model)
                    self._loaded_at[node.name] = now
                    self._start(node, model, asyncio.Queue())
                    break
        await asyncio.sleep(0)  # the loads begin

    def _start(self, node: Node, model: str, steps: asyncio.Queue[LoadProgress | None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._load(node, model, steps), name=f"load {node.name} {model}")
        self._tasks.add(task)
        self._loading[model] += 1
        self._running[(node.name, model)] += 1
        task.add_done_callback(self._finish)
        return task

    async def _load(self, node: Node, model: str, steps: asyncio.Queue[LoadProgress | None]) -> None:
        """Load a model and queue its progress, None last."""
        name, key = node.name, (node.name, model)
        is_first = self._running[key] == 1  # those who join a load do not tell of it again
        self._fleet.load_failures.pop(key, None)
        try:
            async with aclosing(node.load(model)) as progresses:
                async for progress in progresses:
                    if progress.done and is_first:
                        self._fleet.events.record(name, "switched", f"loaded {model}")
                    steps.put_nowait(progress)
        except NodeBusyError:
            self._busy_until[key] = self._fleet.clock() + BUSY_SECONDS
            raise
        except LoadCancelledError:
            raise  # the one who cancelled it reports it
        except NodeError as error:
            self._fleet.load_failures[key] = (self._fleet.clock() + RETRY_SECONDS, error.message)
            if is_first:
                self._fleet.events.record(name, "switched", f"not loaded {model}: {error.message}")
            raise
        finally:
            self._loading[model] -= 1
            self._running[key] -= 1
            self._fleet.changed.notify()
            steps.put_nowait(None)

    def _finish(self, task: asyncio.Task[None]) -> None:
        """Log the error of a load; it is also raised to a caller that waits for it, or recorded as an event."""
        self._tasks.discard(task)
        if task.cancelled() or not (error := task.exception()):
            return
        if isinstance(error, HerdingError):
            log.warning("%s failed: %s", task.get_name(), error.message)
        else:
            log.error("%s failed", task.get_name(), exc_info=error)

    def _is_due(self, node: Node, model: str, now: float) -> bool:
        rule = node.auto_switch
        if rule is None or not self._fleet.can_load(node, model):
            return False
        if now - self._since[model] < rule.after_seconds or now < self._busy_until.get((node.name, model), now):
            return False
        last = self._loaded_at.get(node.name)
        return last is None or now - last >= rule.every_minutes * 60
