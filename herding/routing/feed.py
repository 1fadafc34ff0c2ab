"""What happened to the nodes, as people read it: the last few hundred events, and whoever listens."""

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
    "drained",
    "undrained",
    "switched",
    "ejected",
    "recovered",
    "resting",
    "misconfigured",
    "mended",
]


class Feed:
    """Keeps the newest `KEPT` events and hands each to the listeners. `clock` is Unix time in milliseconds."""

    def __init__(self, clock: Callable[[], int], *, kept: int = KEPT) -> None:
        self._clock = clock
        self._events: deque[NodeEvent] = deque(maxlen=kept)
        self._listeners: list[Callable[[NodeEvent], None]] = []

    def tell(self, node: str, kind: EventKind, detail: str = "") -> None:
        """Note a change. Listeners are called at once; they must be quick and not raise."""
        event = NodeEvent(self._clock(), node, kind, detail)
        self._events.append(event)
        for listener in tuple(self._listeners):
            listener(event)

    def events(self, limit: int = KEPT) -> list[NodeEvent]:
        """The newest events first."""
        return list(islice(reversed(self._events), limit))

    def listen(self, listener: Callable[[NodeEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event from now on; what is returned ends that, and may be called again."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end
