"""What happened to the nodes, as people read it: the last few hundred events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Literal

from herding.values import NodeEvent

KEPT = 500

EventKind = Literal[
    "added",
    "changed",
    "removed",
    "switched",
    "ejected",
    "recovered",
    "resting",
    "misconfigured",
    "mended",
]


class EventLog:
    """Keeps the newest `kept` events. `clock` is Unix time in milliseconds."""

    def __init__(self, clock: Callable[[], int], *, kept: int = KEPT) -> None:
        self._clock = clock
        self._events: deque[NodeEvent] = deque(maxlen=kept)

    def record(self, node: str, kind: EventKind, detail: str = "") -> None:
        """Note a change."""
        self._events.append(NodeEvent(self._clock(), node, kind, detail))

    def latest(self, limit: int = KEPT) -> list[NodeEvent]:
        """The newest events first."""
        return list(islice(reversed(self._events), limit))
