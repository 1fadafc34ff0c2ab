"""Brings back nodes that failed: asks them for one word when nobody else calls them."""

from __future__ import annotations

import asyncio

from herding.errors import HerdingError, NoModelError
from herding.herd.fleet import Fleet
from herding.herd.node_call import NodeCall, embedded
from herding.nodes.base import Node
from herding.values import Call, Message, Parameters, new_id

EVERY = 1.0
"""Seconds between two looks at which nodes are due."""

QUESTION = Message("user", "Say OK.")


class Prober:
    """Calls nodes whose ejection is over; only a real answer brings one back, not that it listens."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def watch(self) -> None:
        """Runs as long as the app. A node that keeps its probe waiting keeps no other one from its own."""
        async with asyncio.TaskGroup() as probing:
            while True:
                await asyncio.sleep(EVERY)
                for name in self._fleet.health.probes_due():
                    probing.create_task(self.probe(name), name=f"probe {name}")

    async def probe(self, name: str) -> None:
        """One small call of a node, where it serves something and may be called."""
        node = self._fleet.get(name)
        if node is None or not (node.serves or node.embeds):
            return
        permit = self._fleet.health.acquire(name)
        if permit is None:
            return
        with permit:
            try:
                await _ask(node)
                permit.succeeded()
            except HerdingError as error:
                permit.failed(error)
        self._fleet.changed.notify()


async def _ask(node: Node) -> None:
    """The smallest answer that shows that the node works, of the first model that it has. Raises what it raises."""
    *models, last = node.serves or node.embeds
    for model in models:
        try:
            await _say(node, model)
        except NoModelError:
            continue
        return
    await _say(node, last)


async def _say(node: Node, model: str) -> None:
    if not node.serves:
        await embedded(node, model, [QUESTION.content])
        return
    call = Call(new_id(), model, messages=(QUESTION,), parameters=Parameters(max_tokens=1))
    running = NodeCall(node, call)
    try:
        async for _ in running.chunks():
            pass
    finally:
        await running.close()
