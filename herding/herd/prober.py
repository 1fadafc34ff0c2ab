"""Probes nodes with a small request: ejected ones return without other traffic, doubtful ones get a fair verdict."""

from __future__ import annotations

import asyncio

from herding.errors import HerdingError, NoModelError
from herding.herd.fleet import Fleet
from herding.herd.node_call import NodeCall, embed, rerank
from herding.nodes.base import Node
from herding.values import Call, Message, Parameters, new_id

INTERVAL_SECONDS = 1.0

PROBE_MESSAGE = Message("user", "Say OK.")


class Prober:
    """Probes nodes whose ejection is over, or that fail for one caller alone; only a real response counts for them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def watch(self) -> None:
        """Probe the nodes that are due, each in its own task; runs as long as the app."""
        async with asyncio.TaskGroup() as probes:
            while True:
                await asyncio.sleep(INTERVAL_SECONDS)
                for name in self._fleet.health.probes_due():
                    probes.create_task(self.probe(name), name=f"probe {name}")

    async def probe(self, name: str) -> None:
        """Send one small request to a node if it serves a model and may be called."""
        node = self._fleet.get(name)
        if node is None or not (node.serves or node.embeds or node.reranks):
            return
        permit = self._fleet.health.acquire(name, probe=True)
        if permit is None:
            return
        with permit:
            try:
                await _probe_any_model(node)
                permit.succeeded()
            except HerdingError as error:
                permit.failed(error)
        self._fleet.changed.notify()


async def _probe_any_model(node: Node) -> None:
    """Get a minimal response from the first model that the node has; raise its error."""
    *models, last = node.serves or node.embeds or node.reranks
    for model in models:
        try:
            await _probe_model(node, model)
        except NoModelError:
            continue
        return
    await _probe_model(node, last)


async def _probe_model(node: Node, model: str) -> None:
    if not node.serves:
        text = PROBE_MESSAGE.content
        await (embed(node, model, [text]) if node.embeds else rerank(node, model, text, [text]))
        return
    call = Call(new_id(), model, messages=(PROBE_MESSAGE,), parameters=Parameters(max_tokens=1))
    running = NodeCall(node, call)
    try:
        async for _ in running.chunks():
            pass
    finally:
        await running.close()
