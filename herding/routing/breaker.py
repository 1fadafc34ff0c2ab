"""Circuit breakers: a node that fails is ejected for a while, and returns by one trial call at a time.

The states of a node, in the terms of the pattern: healthy is closed, ejected is open, trial is half-open. A node may
also rest, because it asked for that, or be misconfigured: it refused our key, and is tried again after a while.

A failure that one caller could have caused by what they sent counts once for each caller and each body, so that no
caller can eject a node for others. Where one caller alone fails again and again, a probe of our own decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Literal

from herding.errors import (
    MAX_RETRY_AFTER,
    ConnectError,
    HerdingError,
    MisconfiguredError,
    NodeBusyError,
    NodeError,
    NoNodeError,
    StatusError,
)
from herding.routing.event_log import EventKind, EventLog
from herding.values import HealthState, NodeHealth

MAX_SENDERS = 2000

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
    most `longest_rest`), else for `rest`, doubled each time in a row. A node that refuses our key is tried again after
    `key_retry`, doubled each time, up to `longest_key_retry`. A node that gets no call for `unused` after its ejection
    is due for a probe; a node that fails for one caller alone is so every `suspect_every`. `trial_guess` is the
    expected duration of a trial.
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
    longest_rest: float = MAX_RETRY_AFTER
    key_retry: float = 30.0
    longest_key_retry: float = 600.0
    unused: float = 2.0
    suspect_every: float = 10.0
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


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of a failed call: the account, and a number that equal bodies share."""

    account: str
    body: int


class Senders:
    """The accounts and bodies that counted within the last `window` seconds, of at most `MAX_SENDERS` each."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._counted: dict[str | int, float] = {}

    def is_new(self, sender: Sender | None, now: float) -> bool:
        """Return whether neither the account nor the body counted within the window, and count them if so."""
        if sender is None:
            return True
        if any(now - self._counted.get(key, -inf) < self._window for key in (sender.account, sender.body)):
            return False
        if len(self._counted) > 2 * MAX_SENDERS:
            self.clear()
        self._counted[sender.account] = self._counted[sender.body] = now
        return True

    def clear(self) -> None:
        """Forget all."""
        self._counted.clear()


class Permit:
    """The permission for one call of a node, and the report of its result. Only the first report counts.

    `probe`: the call is our own and not a caller's. `ended` is true after the report. As a context manager it reports a
    cancelled call at the end.
    """

    def __init__(self, breaker: CircuitBreaker, era: int, *, trial: bool, probe: bool = False) -> None:
        self._breaker, self.era, self.trial, self.probe = breaker, era, trial, probe
        self.ended = False

    def first_token(self) -> None:
        """Report that the node began to respond, which ends a trial before a long response does.

        It counts for nothing else, since a node may break off every response. The end is reported as well.
        """
        if self.trial and not self.ended:
            self._breaker.record_response(self)

    def succeeded(self) -> None:
        """Report a complete response."""
        self._end(None)

    def failed(self, error: HerdingError, sender: Sender | None = None) -> None:
        """Report an error, whether or not the node is to blame. Without `sender` no caller can have caused it."""
        self._end(error, sender=sender)

    def cancelled(self) -> None:
        """Report that the caller went away, which says nothing about the node."""
        self._end(None, cancelled=True)

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancelled()

    def _end(self, error: HerdingError | None, *, cancelled: bool = False, sender: Sender | None = None) -> None:
        if not self.ended:
            self.ended = True
            self._breaker.end(self, error, cancelled=cancelled, sender=sender)


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
        self._misconfigured = 0
        self._failed_lately, self._failed_in_a_row = Senders(settings.window), Senders(inf)
        self._refused_lately = Senders(settings.window)
        self._suspicions = 0
        self._suspected = clock() - settings.suspect_every
        self._era = 0
        self.failures_in_a_row = 0
        self.ejections = 0
        self.reason = ""

    @property
    def state(self) -> HealthState:
        """The current state. In `trial` the ejection is over, and the next or running call decides."""
        now = self._clock()
        if self._ejected_until is not None and now < self._ejected_until:
            return "misconfigured" if self._misconfigured else "ejected"
        if now < self._rest_until:
            return "resting"
        return "healthy" if self._ejected_until is None else "trial"

    def allows_call(self, *, last: bool = False) -> bool:
        """Return whether `acquire` would return a permit."""
        return self._trial is None and self.state in (("healthy", "trial", "ejected") if last else ("healthy", "trial"))

    def retry_after(self, *, last: bool = False) -> float:
        """Return the seconds until a call may be allowed, 0 if one is now."""
        now = self._clock()
        left = self._rest_until - now
        if self._ejected_until is not None and not (last and self.state == "ejected"):
            left = max(left, self._ejected_until - now)
        if left <= 0 and self._trial is not None:
            return self._settings.trial_guess
        return max(0.0, left)

    @property
    def probe_due(self) -> bool:
        """True if the ejection is over and no call came that could end the trial, or one caller alone sees failures."""
        now, state = self._clock(), self.state
        if state == "healthy":
            is_suspect = self._suspicions >= self._settings.in_a_row
            return is_suspect and now - self._suspected >= self._settings.suspect_every
        if state != "trial" or self._trial is not None:
            return False
        since = max(self._ejected_until or 0.0, self._rest_until, self._trial_ended)
        return now - since >= self._settings.unused

    def acquire(self, *, last: bool = False, probe: bool = False) -> Permit | None:
        """Return a permit for one call, which the caller must end; None while no call is allowed.

        `last`: no other node can serve the request, so that even an ejected node gets one call at a time.
        """
        if not self.allows_call(last=last):
            return None
        trial = self._ejected_until is not None
        permit = Permit(self, self._era, trial=trial, probe=probe)
        if trial:
            self._trial = permit
        elif probe:
            self._suspected = self._clock()
        return permit

    def reset(self) -> None:
        """Make the next call a trial, after an operator has repaired the node. A healthy node is not affected."""
        if self.state == "healthy":
            return
        self._misconfigured = 0
        self._rest_until, self._rests = self._clock(), 0
        self._begin_era()
        self.ejections = 0
        self._ejected_until = self._clock()
        self._record("mended", "the next call is a trial")

    def detach(self) -> None:
        """Record no more events: the node is gone."""
        self._events = None

    def end(self, permit: Permit, error: HerdingError | None, *, cancelled: bool, sender: Sender | None = None) -> None:
        """Take the result of a call; called once by its permit."""
        if self._trial is permit:
            self._trial, self._trial_ended = None, self._clock()
        if cancelled:
            return
        if error is None:
            self.record_response(permit)
            if permit.era == self._era:
                self._calls.add(self._clock(), failed=False)
            return
        blame = classify(error, probe=permit.probe)
        sender = None if permit.probe or isinstance(error, ConnectError) else sender
        if blame == "rest":
            self._rest(error, sender)
        elif permit.era == self._era and blame == "misconfigured":
            self._misconfigure(error)
        elif permit.era == self._era and blame == "failure":
            self._fail(error, sender, probe=permit.probe)

    def record_response(self, permit: Permit) -> None:
        """Take note that the node responds; a trial makes it healthy."""
        if permit.era != self._era:
            return
        if self.failures_in_a_row:
            self._failed_in_a_row.clear()
        self.failures_in_a_row = self._rests = self._suspicions = self._misconfigured = 0
        if self._ejected_until is not None:
            self._begin_era()
            permit.era = self._era
            self._ejected_until, self._healthy_since = None, self._clock()
            self._record("recovered", "a trial succeeded")

    def _fail(self, error: HerdingError, sender: Sender | None, *, probe: bool) -> None:
        now, settings = self._clock(), self._settings
        self._suspicions += 1
        is_new = self._failed_in_a_row.is_new(sender, now)
        if self._failed_lately.is_new(sender, now):
            self._calls.add(now, failed=True)
        if not is_new:
            return
        self.failures_in_a_row += 1
        calls, failed = self._calls.count(now)
        if self._ejected_until is not None:
            self._eject(f"{describe(error)} in a trial")
        elif self.failures_in_a_row >= settings.in_a_row:
            self._eject(f"{describe(error)}: {self.failures_in_a_row} failures in a row")
        elif probe and self._suspicions > settings.in_a_row:
            self._eject(f"{describe(error)}: {self._suspicions} failures in a row, the last one in a probe")
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

    def _rest(self, error: HerdingError, sender: Sender | None) -> None:
        """Rest for as long as the node asks. Calls that were running do not prolong a rest that it did not ask for.

        Of its own accord the rest of a node grows only when the node refuses different callers.
        """
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
            self._rests += self._refused_lately.is_new(sender, now) or self._rests == 0
            self.reason = describe(error)
            self._record("resting", f"{self.reason}; rests for {self._rest_until - now:.0f} s")

    def _misconfigure(self, error: HerdingError) -> None:
        now, settings = self._clock(), self._settings
        seconds = min(settings.longest_key_retry, settings.key_retry * 2 ** min(self._misconfigured, 16))
        self._begin_era()
        self._misconfigured += 1
        self._ejected_until = now + seconds
        self.reason = describe(error)
        self._record("misconfigured", f"{self.reason}; tried again in {seconds:.0f} s")

    def _begin_era(self) -> None:
        self._era += 1
        self.failures_in_a_row = self._suspicions = 0
        self._trial = None
        self._calls = CallCounter(self._settings.window)

    def _record(self, kind: EventKind, detail: str) -> None:
        if self._events is not None:
            self._events.record(self._node, kind, detail)


class CircuitBreakers:
    """A circuit breaker for each node. An unknown node may be called.

    `clock` is in seconds and never goes back; changes go to `events`. `is_last` tells whether a node serves a model
    that no other node can serve now: it is then never out, but on trial.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        rng: Random,
        events: EventLog,
        settings: BreakerSettings | None = None,
        is_last: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._clock, self._rng, self._events, self._is_last = clock, rng, events, is_last
        self._settings = settings or BreakerSettings()
        self._breakers: dict[str, CircuitBreaker] = {}

    def allows(self, node: str, *, last: bool = False) -> bool:
        """Return whether `acquire` would return a permit; no call is counted."""
        breaker = self._breakers.get(node)
        return breaker is None or breaker.allows_call(last=last)

    def acquire(self, node: str, *, last: bool = False, probe: bool = False) -> Permit | None:
        """Return a permit for one call, which the caller must end; None while the node may not be called.

        `last`: no other node can serve the request. `probe`: the call is our own.
        """
        breaker = self._breakers.get(node)
        if breaker is None:
            breaker = self._breakers[node] = CircuitBreaker(
                node, clock=self._clock, rng=self._rng, settings=self._settings, events=self._events
            )
        return breaker.acquire(last=last, probe=probe)

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
        if state == "healthy":
            return NodeHealth(state, 0.0, "", breaker.failures_in_a_row, breaker.ejections)
        last = self._is_last(node)
        state = "trial" if last and state == "ejected" else state
        wait = breaker.retry_after(last=last)
        return NodeHealth(state, wait, breaker.reason, breaker.failures_in_a_row, breaker.ejections)

    def retry_after(self, nodes: Iterable[str], *, last: bool = False) -> float | None:
        """Return the seconds until one of the nodes may be called, 0 if one may now; None without nodes."""
        return min(
            (breaker.retry_after(last=last) if (breaker := self._breakers.get(node)) else 0.0 for node in nodes),
            default=None,
        )

    def is_out(self, node: str) -> bool:
        """True while a node is ejected, rests or refuses our key."""
        breaker = self._breakers.get(node)
        return breaker is not None and breaker.state in ("ejected", "resting", "misconfigured")

    def probes_due(self) -> list[str]:
        """Return the nodes whose ejection is over and that got no call since; a probe may bring them back."""
        return [node for node, breaker in self._breakers.items() if breaker.probe_due]


def classify(error: HerdingError, *, probe: bool = False) -> Literal["failure", "rest", "misconfigured", "none"]:
    """Return what an error says about the node: a failure, a request for rest (429), a wrong key, or nothing.

    A refusal (403) of a `probe` is about the key, that of a caller's request is about the request.
    """
    if isinstance(error, MisconfiguredError) or (probe and isinstance(error, StatusError) and error.status == 403):
        return "misconfigured"
    if isinstance(error, NodeBusyError):
        return "rest"
    if isinstance(error, NoNodeError) or not isinstance(error, NodeError):
        return "none"
    return "none" if isinstance(error, StatusError) and error.is_client_error else "failure"


def describe(error: HerdingError) -> str:
    """Describe an error in a few words; its own message may repeat what was sent to the node."""
    if isinstance(error, StatusError):
        return f"responds HTTP {error.status}"
    return _DESCRIPTIONS.get(error.type, "fails")
