"""How much each node does now: its running requests against what it can do at once, and how long it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import exp

WEIGHT = 0.2
"""What the newest answer counts, of 1, where answers come often."""

FADES = 30.0
"""Seconds without an answer after which the mean before it counts a third."""


class Latency:
    """An exponentially weighted mean of milliseconds; times are in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self.mean: float | None = None
        self.answers = 0
        self._at = 0.0

    def add(self, took_ms: float, now: float) -> None:
        """Note one answer. The longer none came, the less the mean before it counts; the first counts until another."""
        weight = 1.0 if self.answers < 2 else max(WEIGHT, 1 - exp((self._at - now) / FADES))
        self.mean = (self.mean or 0.0) * (1 - weight) + took_ms * weight
        self._at = now
        self.answers += 1

    def age(self, now: float) -> float:
        """Seconds since the last answer; 0 where there was none."""
        return 0.0 if self.mean is None else now - self._at


@dataclass(frozen=True, slots=True)
class Load:
    """A node's work now. `concurrency` None: no bound. Latencies are moving averages in ms, None while unknown.

    `age`: seconds since the last answer that they are made from. `settled`: it was not the first, which connects, and
    takes longer than those to come.
    """

    running: int = 0
    concurrency: int | None = None
    draining: bool = False
    first_token_ms: float | None = None
    total_ms: float | None = None
    age: float = 0.0
    settled: bool = True


class Slots:
    """Counts the running requests of each node. `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._nodes: dict[str, _Node] = {}

    def set_limit(self, node: str, concurrency: int | None) -> None:
        """Add a node, or change how many requests it may run at once; those that run go on."""
        self._nodes.setdefault(node, _Node()).concurrency = concurrency

    def remove(self, node: str) -> None:
        """Forget a node. What it still runs is released to nobody; a node that takes its name starts with none."""
        self._nodes.pop(node, None)

    def drain(self, node: str, *, draining: bool = True) -> None:
        """Let a node take no more requests, or let it again. Those that run go on."""
        self._nodes[node].draining = draining

    def has_free(self, node: str) -> bool:
        """Whether `take` would give a slot."""
        found = self._nodes.get(node)
        return found is not None and found.free

    def acquire(self, node: str) -> Slot | None:
        """A slot of the node, which the caller releases in any case; None where none is free or the node is unknown."""
        found = self._nodes.get(node)
        if found is None or not found.free:
            return None
        found.running += 1
        found.emptied.clear()
        return Slot(found, self._clock)

    def load(self, node: str) -> Load:
        """The node's work now; that of an unknown node is none."""
        found = self._nodes.get(node)
        if found is None:
            return Load()
        first, total = found.first_token, found.total
        age = total.age(self._clock())
        told = first.mean, total.mean, age, total.answers > 1
        return Load(found.running, found.concurrency, found.draining, *told)

    async def wait_idle(self, node: str) -> None:
        """Wait until the node runs nothing. Drain it first, or it may never be idle."""
        found = self._nodes.get(node)
        while found is not None and found.running:
            await found.emptied.wait()


class Slot:
    """One running request's place on a node. As a context manager it is released at the end."""

    __slots__ = ("_clock", "_node", "_released")

    def __init__(self, node: _Node, clock: Callable[[], float]) -> None:
        self._node, self._clock = node, clock
        self._released = False

    def record_latency(self, *, first_token_ms: float, total_ms: float) -> None:
        """Note how long a complete answer took. A failure is no answer: a node that fails fast is not a fast node."""
        now = self._clock()
        self._node.first_token.add(first_token_ms, now)
        self._node.total.add(total_ms, now)

    def release(self) -> None:
        """Give the slot back; again does no harm."""
        if self._released:
            return
        self._released = True
        self._node.running -= 1
        if not self._node.running:
            self._node.emptied.set()

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class _Node:
    """What is known of one node."""

    def __init__(self) -> None:
        self.running = 0
        self.concurrency: int | None = None
        self.draining = False
        self.first_token, self.total = Latency(), Latency()
        self.emptied = asyncio.Event()

    @property
    def free(self) -> bool:
        return not self.draining and (self.concurrency is None or self.running < self.concurrency)
