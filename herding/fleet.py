"""The nodes that are there now: some come and go while the app runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping

from herding.nodes.base import Node

DRAIN_SECONDS = 60.0


class Fleet(Mapping[str, Node]):
    """Nodes by name, with how many requests each has now.

    A node that drains gets no new request; those that it has run to their end.
    """

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = dict(nodes)
        self._draining: set[str] = set()
        self._left = asyncio.Event()
        self.busy: Counter[str] = Counter()

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, node: Node) -> None:
        """From now on `node`, which has started, gets requests."""
        self._nodes[node.name] = node
        self._draining.discard(node.name)

    def takes(self, name: str) -> bool:
        """Whether the node gets new requests."""
        return name not in self._draining

    def enter(self, name: str) -> None:
        """A request goes to the node."""
        self.busy[name] += 1

    def leave(self, name: str) -> None:
        """The request has left the node again."""
        self.busy[name] -= 1
        if name in self._draining and not self.busy[name]:
            self._left.set()

    async def drain(self, name: str, *, seconds: float = DRAIN_SECONDS) -> bool:
        """Give the node no more requests; True once none runs on it any more, False if that takes too long."""
        self._draining.add(name)
        try:
            async with asyncio.timeout(seconds):
                while self.busy[name]:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            return False
        return True

    def resume(self, name: str) -> None:
        """The node gets requests again."""
        self._draining.discard(name)

    async def remove(self, name: str, *, seconds: float = DRAIN_SECONDS) -> None:
        """Drain the node, forget it and close it; what runs longer than `seconds` breaks off."""
        await self.drain(name, seconds=seconds)
        node = self._nodes.pop(name, None)
        self._draining.discard(name)
        if node is not None:
            await node.close()
