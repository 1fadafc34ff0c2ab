"""Circuit breakers: a node that fails is ejected for a while, and returns by one trial call at a time.

The states of a node, in the terms of the pattern: healthy is closed, ejected is open, trial is half-open. A node may
also rest, because it asked for that, or be misconfigured until an operator resets it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Literal

from herding.errors import (
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    NodeError,
    NoNodeError,
    RequestRejectedError,
    StatusError,
)
from herding.routing.event_log import EventKind, EventLog
from herding.values import HealthState, NodeHealth

_DESCRIPTIONS = {
    "node_unreachable": "cannot be reached",
    "node_timeout": "does not respond in time",
    "node_bad_response": "sent an invalid response",
    "node_cut_stream": "broke off a response",
    "node_misconfigured": "rejects our credentials",
}


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """Conditions and durations of ejections. All times are in seconds.

    A node is ejected after `in_a_row` failures, or when the share `rate` of at least `volume` calls within `window`
    failed. The ejection lasts `ejection` times the number of ejections, up to `longest`, less up to the share `jitter`.
    Each `settle` of health takes one ejection off the count. A node that responds 429 rests for as long as it asks (at
    most `longest_rest`), else for `rest`, doubled each time in a row. A node that gets no call for `unused` after its
    ejection is due for a probe. `trial_guess` is the expected duration of a trial.
    """

    in_a_row: int = 3
    rate: float = 0.5
    volume: int = 10
    window: int = 30
    ejection: float = 5.0
    longest: float = 300.0
    jitter: float = 0.2
    settle: float = 30.0
    rest: float = 1.0
    longest_own_rest: float = 60.0
    longest_rest: float = 3600.0
    unused: float = 2.0
    trial_guess: float = 1.0


class CallCounter:
    """Counts calls and failures over a sliding window of seconds, in memory that does not grow with load."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._steps: deque[list[int]] = deque()
        self._calls = self._failed = 0

    def add(self, now: float, *, failed: bool) -> None:
        """Count a call that ended at `now`, in seconds."""
        second = int(now)
        if not self._steps or self._steps[-1][0] != second:
            self._drop_old(now)
            self._steps.append([second, 0, 0])
        step = self._steps[-1]
        step[1] += 1
        step[2] += failed
        self._calls += 1
        self._failed += failed

    def count(self, now: float) -> tuple[int, int]:
        """Return calls and failures of the window that ends at `now`."""
        self._drop_old(now)
        return self._calls, self._failed

    def _drop_old(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now - self._window:
            _, calls, failed = self._steps.popleft()
            self._calls -= calls
            self._failed -= failed


class Permit:
    """The permission for one call of a node, and the report of its result. Only the first report counts.

    As a context manager it reports a cancelled call at the end.
    """

    def __init__(self, breaker: CircuitBreaker, era: int, *, trial: bool) -> None:
        self._breaker, self.era, self.trial = breaker, era, trial
        self._ended = False

    def first_token(self) -> None:
        """Report that the node began to respond, which ends a trial before a long response does.

        It counts for nothing else, since a node may break off every response. The end is reported as well.
        """
        if self.trial and not self._ended:
            self._breaker.record_response(self)

    def succeeded(self) -> None:
        """Report a complete response."""
        self._end(None)

    def failed(self, error: HerdingError) -> None:
        """Report an error, whether or not the node is to blame."""
        self._end(error)

    def cancelled(self) -> None:
        """Report that the caller went away, which says nothing about the node."""
        self._end(None, cancelled=True)

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancelled()

    def _end(self, error: HerdingError | None, *, cancelled: bool = False) -> None:
        if not self._ended:
            self._ended = True
            self._breaker.end(self, error, cancelled=cancelled)


class CircuitBreaker:
    """Decides whether one node may be called, from the results of earlier calls.

    `clock` is in seconds and never goes back. Only a call that began in the current era counts: responses to calls from
    before an ejection neither end it nor prolong it. Changes go to `events`.
    """

    def __init__(
        self, node: str, *, clock: Callable[[], float], rng: Random, settings: BreakerSettings, events: EventLog
    ) -> None:
        self._node, self._clock, self._rng, self._settings = node, clock, rng, settings
        self._events: EventLog | None = events
        self._calls = CallCounter(settings.window)
        self._healthy_since = clock()
        self._ejected_until: float | None = None
        self._rest_until = clock()
        self._rests = 0
        self._trial: Permit | None = None
        self._trial_ended = 0.0
        self._misconfigured = False
        self._era = 0
        self.failures_in_a_row = 0
        self.ejections = 0
        self.reason = ""

    @property
    def state(self) -> HealthState:
        """The current state. In `trial` the ejection is over, and the next or running call decides."""
        if self._misconfigured:
            return "misconfigured"
        now = self._clock()
        if self._ejected_until is not None and now < self._ejected_until:
            return "ejected"
        if now < self._rest_until:
            return "resting"
        return "healthy" if self._ejected_until is None else "trial"

    @property
    def allows_call(self) -> bool:
        """True if `acquire` would return a permit."""
        return self._trial is None and self.state in ("healthy", "trial")

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be allowed, 0 if one is now; None if an operator must reset the node."""
        if self._misconfigured:
            return None
        left = max(self._rest_until, self._ejected_until or 0.0) - self._clock()
        if left <= 0 and self._trial is not None:
            return self._settings.trial_guess
        return max(0.0, left)

    @property
    def probe_due(self) -> bool:
        """True if the ejection is over and no call came that could end the trial."""
        if self.state != "trial" or self._trial is not None:
            return False
        since = max(self._ejected_until or 0.0, self._rest_until, self._trial_ended)
        return self._clock() - since >= self._settings.unused

    def acquire(self) -> Permit | None:
        """Return a permit for one call, which the caller must end; None while no call is allowed."""
        if not self.allows_call:
            return None
        trial = self._ejected_until is not None
        permit = Permit(self, self._era, trial=trial)
        if trial:
            self._trial = permit
        return permit

    def reset(self) -> None:
        """Make the next call a trial, after an operator has repaired the node. A healthy node is not affected."""
        if self.state == "healthy":
            return
        self._misconfigured = False
        self._rest_until, self._rests = self._clock(), 0
        self._begin_era()
        self.ejections = 0
        self._ejected_until = self._clock()
        self._record("mended", "the next call is a trial")

    def detach(self) -> None:
        """Record no more events: the node is gone."""
        self._events = None

    def end(self, permit: Permit, error: HerdingError | None, *, cancelled: bool) -> None:
        """Take the result of a call; called once by its permit."""
        if self._trial is permit:
            self._trial, self._trial_ended = None, self._clock()
        if cancelled or self._misconfigured:
            return
        if error is None:
            self.record_response(permit)
            if permit.era == self._era:
                self._calls.add(self._clock(), failed=False)
            return
        blame = classify(error)
        if blame == "rest":
            self._rest(error)
        elif permit.era == self._era and blame == "misconfigured":
            self._misconfigure(error)
        elif permit.era == self._era and blame == "failure":
            self._fail(error)

    def record_response(self, permit: Permit) -> None:
        """Take note that the node responds; a trial makes it healthy."""
        if permit.era != self._era or self._misconfigured:
            return
        self.failures_in_a_row = self._rests = 0
        if self._ejected_until is not None:
            self._begin_era()
            permit.era = self._era
            self._ejected_until, self._healthy_since = None, self._clock()
            self._record("recovered", "a trial succeeded")

    def _fail(self, error: HerdingError) -> None:
        now, settings = self._clock(), self._settings
        self.failures_in_a_row += 1
        self._calls.add(now, failed=True)
        calls, failed = self._calls.count(now)
        if self._ejected_until is not None:
            self._eject(f"{describe(error)} in a trial")
        elif self.failures_in_a_row >= settings.in_a_row:
            self._eject(f"{describe(error)}: {self.failures_in_a_row} failures in a row")
        elif calls >= settings.volume and failed >= settings.rate * calls:
            self._eject(f"{describe(error)}: {failed} of {calls} calls failed in {settings.window} s")

    def _eject(self, reason: str) -> None:
        now, settings = self._clock(), self._settings
        if self._ejected_until is None:
            settled = int((now - self._healthy_since) / settings.settle)
            self.ejections = max(0, self.ejections - settled)
        self.ejections += 1
        longest = min(settings.longest, settings.ejection * self.ejections)
        seconds = longest * (1 - settings.jitter * self._rng.random())
        self._begin_era()
        self._ejected_until = now + seconds
        self.reason = reason
        self._record("ejected", f"{reason}; ejected for {seconds:.0f} s")

    def _rest(self, error: HerdingError) -> None:
        """Rest for as long as the node asks. Calls that were running do not prolong a rest that it did not ask for."""
        now, settings = self._clock(), self._settings
        asked = error.retry_after if isinstance(error, StatusError) else None
        resting = now < self._rest_until
        if resting and asked is None:
            return
        if asked is None:
            seconds = min(settings.longest_own_rest, settings.rest * 2 ** min(self._rests, 16))
        else:
            seconds = min(max(asked, settings.rest), settings.longest_rest)
        self._rest_until = max(self._rest_until, now + seconds)
        if not resting:
            self._rests += 1
            self.reason = describe(error)
            self._record("resting", f"{self.reason}; rests for {self._rest_until - now:.0f} s")

    def _misconfigure(self, error: HerdingError) -> None:
        self._begin_era()
        self._misconfigured = True
        self.reason = describe(error)
        self._record("misconfigured", f"{self.reason}; not called until an operator resets it")

    def _begin_era(self) -> None:
        self._era += 1
        self.failures_in_a_row = 0
        self._trial = None
        self._calls = CallCounter(self._settings.window)

    def _record(self, kind: EventKind, detail: str) -> None:
        if self._events is not None:
            self._events.record(self._node, kind, detail)


class CircuitBreakers:
    """A circuit breaker for each node. An unknown node may be called.

    `clock` is in seconds and never goes back; changes go to `events`.
    """

    def __init__(
        self, *, clock: Callable[[], float], rng: Random, events: EventLog, settings: BreakerSettings | None = None
    ) -> None:
        self._clock, self._rng, self._events = clock, rng, events
        self._settings = settings or BreakerSettings()
        self._breakers: dict[str, CircuitBreaker] = {}

    def allows(self, node: str) -> bool:
        """Return whether `acquire` would return a permit; no call is counted."""
        breaker = self._breakers.get(node)
        return breaker is None or breaker.allows_call

    def acquire(self, node: str) -> Permit | None:
        """Return a permit for one call, which the caller must end; None while the node may not be called."""
        breaker = self._breakers.get(node)
        if breaker is None:
            breaker = self._breakers[node] = CircuitBreaker(
                node, clock=self._clock, rng=self._rng, settings=self._settings, events=self._events
            )
        return breaker.acquire()

    def reset(self, node: str) -> None:
        """Make the next call a trial, after an operator has changed or repaired the node."""
        if breaker := self._breakers.get(node):
            breaker.reset()

    def remove(self, node: str) -> None:
        """Forget a node that is gone or replaced; results of running calls to it are ignored."""
        if breaker := self._breakers.pop(node, None):
            breaker.detach()

    def status(self, node: str) -> NodeHealth:
        """Return the node's health now."""
        breaker = self._breakers.get(node)
        if breaker is None:
            return NodeHealth("healthy")
        state = breaker.state
        reason = "" if state == "healthy" else breaker.reason
        return NodeHealth(state, breaker.retry_after, reason, breaker.failures_in_a_row, breaker.ejections)

    def retry_after(self, nodes: Iterable[str]) -> float | None:
        """Return the seconds until one of the nodes may be called, 0 if one may now; None if none will by itself."""
        waits = [breaker.retry_after if (breaker := self._breakers.get(node)) else 0.0 for node in nodes]
        return min((seconds for seconds in waits if seconds is not None), default=None)

    def probes_due(self) -> list[str]:
        """Return the nodes whose ejection is over and that got no call since; a probe may bring them back."""
        return [node for node, breaker in self._breakers.items() if breaker.probe_due]


def classify(error: HerdingError) -> Literal["failure", "rest", "misconfigured", "none"]:
    """Return what an error says about the node: a failure, a request for rest (429), a misconfiguration, or nothing."""
    if isinstance(error, MisconfiguredError):
        return "misconfigured"
    if isinstance(error, NodeBusyError):
        return "rest"
    if isinstance(error, NoNodeError | RequestRejectedError) or not isinstance(error, NodeError):
        return "none"
    return "failure"


def describe(error: HerdingError) -> str:
    """Describe an error in a few words; its own message may repeat what was sent to the node."""
    if isinstance(error, StatusError):
        return f"responds HTTP {error.status}"
    return _DESCRIPTIONS.get(error.type, "fails")
