"""Concurrency slots of the nodes: running requests, limits, and latencies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import exp

LATENCY_WEIGHT = 0.2
"""The weight of the newest latency in the average, where responses come often."""

LATENCY_FADES = 30.0
"""Seconds without a response after which the earlier average counts a third."""


@dataclass(frozen=True, slots=True)
class Load:
    """The current load of a node. Latencies are moving averages in milliseconds, None while unknown.

    `concurrency` None means no limit. `age` is in seconds since the last response in the averages. `settled` is False
    after the first response only, which includes connecting and takes longer than later ones.
    """

    running: int = 0
    concurrency: int | None = None
    draining: bool = False
    first_token_ms: float | None = None
    total_ms: float | None = None
    age: float = 0.0
    settled: bool = True


class Latency:
    """An exponentially weighted mean of milliseconds. Times are in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self.mean: float | None = None
        self.count = 0
        self._at = 0.0

    def add(self, milliseconds: float, now: float) -> None:
        """Add a response. The first one counts only until the second; older averages fade with time."""
        weight = 1.0 if self.count < 2 else max(LATENCY_WEIGHT, 1 - exp((self._at - now) / LATENCY_FADES))
        self.mean = (self.mean or 0.0) * (1 - weight) + milliseconds * weight
        self._at = now
        self.count += 1

    def age(self, now: float) -> float:
        """Return the seconds since the last response; 0 if there was none."""
        return 0.0 if self.mean is None else now - self._at


class Slots:
    """Counts the running requests of each node. `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._nodes: dict[str, _Node] = {}

    def set_limit(self, node: str, concurrency: int | None) -> None:
        """Add a node, or change its limit of running requests; running ones go on."""
        self._nodes.setdefault(node, _Node()).concurrency = concurrency

    def remove(self, node: str) -> None:
        """Forget a node. A new node of the same name starts without running requests."""
        self._nodes.pop(node, None)

    def drain(self, node: str) -> None:
        """Stop new requests of a node; running ones go on."""
        self._nodes[node].draining = True

    def has_free(self, node: str) -> bool:
        """Return whether `acquire` would return a slot."""
        found = self._nodes.get(node)
        return found is not None and found.has_free

    def acquire(self, node: str) -> Slot | None:
        """Return a slot, which the caller must release; None if none is free or the node is unknown."""
        found = self._nodes.get(node)
        if found is None or not found.has_free:
            return None
        found.running += 1
        found.idle.clear()
        return Slot(found, self._clock)

    def load(self, node: str) -> Load:
        """Return the current load of a node; an unknown node has none."""
        found = self._nodes.get(node)
        if found is None:
            return Load()
        first_token, total = found.first_token, found.total
        return Load(
            running=found.running,
            concurrency=found.concurrency,
            draining=found.draining,
            first_token_ms=first_token.mean,
            total_ms=total.mean,
            age=total.age(self._clock()),
            settled=total.count > 1,
        )

    async def wait_idle(self, node: str) -> None:
        """Wait until the node runs no request. Drain it first, or this may wait forever."""
        found = self._nodes.get(node)
        while found is not None and found.running:
            await found.idle.wait()


class Slot:
    """The place of one running request on a node. As a context manager it is released at the end."""

    __slots__ = ("_clock", "_node", "_released")

    def __init__(self, node: _Node, clock: Callable[[], float]) -> None:
        self._node, self._clock = node, clock
        self._released = False

    def record_latency(self, *, first_token_ms: float, total_ms: float) -> None:
        """Record the latency of a complete response. Failures do not count: failing fast is not being fast."""
        now = self._clock()
        self._node.first_token.add(first_token_ms, now)
        self._node.total.add(total_ms, now)

    def release(self) -> None:
        """Give the slot back; repeated calls have no effect."""
        if self._released:
            return
        self._released = True
        self._node.running -= 1
        if not self._node.running:
            self._node.idle.set()

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class _Node:
    def __init__(self) -> None:
        self.running = 0
        self.concurrency: int | None = None
        self.draining = False
        self.first_token, self.total = Latency(), Latency()
        self.idle = asyncio.Event()

    @property
    def has_free(self) -> bool:
        return not self.draining and (self.concurrency is None or self.running < self.concurrency)
