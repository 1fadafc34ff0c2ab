"""The log of node events: the last few hundred changes, for people."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Literal

from herding.values import NodeEvent

CAPACITY = 500

EventKind = Literal[
    "added",
    "changed",
    "removed",
    "switched",
    "unloaded",
    "cancelled",
    "unlisted",
    "deleted",
    "ejected",
    "recovered",
    "resting",
    "misconfigured",
    "mended",
    "down",
    "up",
    "connected",
    "disconnected",
]
"""The kinds of events; the last two are of bots, which are in the same log."""


class EventLog:
    """Keeps the newest `capacity` events. `clock` is in Unix milliseconds."""

    def __init__(self, clock: Callable[[], int], *, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._events: deque[NodeEvent] = deque(maxlen=capacity)

    def record(self, node: str, kind: EventKind, detail: str = "") -> None:
        """Add an event of a node."""
        self._events.append(NodeEvent(self._clock(), node, kind, detail))

    def latest(self, limit: int = CAPACITY) -> list[NodeEvent]:
        """Return the latest events, newest first."""
        return list(islice(reversed(self._events), limit))
