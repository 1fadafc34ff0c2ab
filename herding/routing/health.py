"""Who can answer: the health of every node, from what came of the calls to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from random import Random

from herding.routing.breaker import Breaker
from herding.routing.breaker_settings import BreakerSettings
from herding.routing.feed import EventKind, Feed
from herding.routing.permit import Permit
from herding.values import NodeHealth


class Health:
    """A breaker a node. A node that is not known here may be called: nothing speaks against it yet.

    `clock` is in seconds and never goes back; changes go to `feed`.
    """

    def __init__(
        self, *, clock: Callable[[], float], rng: Random, feed: Feed, rules: BreakerSettings | None = None
    ) -> None:
        self._clock, self._rng, self._feed = clock, rng, feed
        self._rules = rules or BreakerSettings()
        self._breakers: dict[str, Breaker] = {}

    def may(self, node: str) -> bool:
        """Whether `enter` would let a call in; no call is counted."""
        breaker = self._breakers.get(node)
        return breaker is None or breaker.may

    def enter(self, node: str) -> Permit | None:
        """A permit for one call, which the caller ends in any case; None while the node may not be called."""
        return self._breaker(node).enter()

    def mend(self, node: str) -> None:
        """An operator has changed the node, or says that it works again: the next call is a trial."""
        if breaker := self._breakers.get(node):
            breaker.mend()

    def forget(self, node: str) -> None:
        """The node is gone, or another one takes its name. Calls under way to it are not heard any more."""
        self._breakers.pop(node, None)

    def look(self, node: str) -> NodeHealth:
        """The node's health now; a look changes nothing."""
        breaker = self._breakers.get(node)
        if breaker is None:
            return NodeHealth("healthy")
        state = breaker.state
        reason = "" if state == "healthy" else breaker.reason
        return NodeHealth(state, breaker.wait, reason, breaker.failures, breaker.ejections)

    def wait(self, nodes: Iterable[str]) -> float | None:
        """Seconds until one of the nodes may be called, 0 where one may now; None where none will by itself."""
        waits = [breaker.wait if (breaker := self._breakers.get(node)) else 0.0 for node in nodes]
        return min((seconds for seconds in waits if seconds is not None), default=None)

    def due(self) -> list[str]:
        """The nodes whose ejection is over and that nobody has called since: a probe of each would bring it back."""
        return [node for node, breaker in self._breakers.items() if breaker.due]

    def _breaker(self, node: str) -> Breaker:
        breaker = self._breakers.get(node)
        if breaker is None:
            told = partial(self._tell, node)
            breaker = Breaker(clock=self._clock, rng=self._rng, rules=self._rules, told=told)
            self._breakers[node] = breaker
        return breaker

    def _tell(self, node: str, breaker: Breaker, kind: EventKind, detail: str) -> None:
        if self._breakers.get(node) is breaker:
            self._feed.tell(node, kind, detail)
