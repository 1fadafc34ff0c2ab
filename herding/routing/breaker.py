"""One node's breaker: ejects it when it fails, and lets it back by one trial at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Literal, Protocol

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


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a node is ejected and for how long. All times are in seconds.

    It is ejected after `in_a_row` failures, or when of at least `volume` calls in `window` the share `rate` failed, for
    `ejection` times the number of ejections, up to `longest`, less up to the share `jitter`. Each `settle` of health
    takes one ejection off the count. A node that says 429 rests for as long as it says (at most `longest_rest`), or
    for `rest`, twice as long each time in a row. Nobody used a node for `unused` after its ejection: it is due a probe.
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


Verdict = Literal["failure", "rest", "misconfigured", "none"]

_WORDS = {
    "node_unreachable": "cannot be reached",
    "node_timeout": "does not answer in time",
    "node_bad_response": "answers what is not its protocol",
    "node_cut_stream": "stops in the middle of answers",
    "node_misconfigured": "refuses our credentials",
}


def verdict(error: HerdingError) -> Verdict:
    """Whether an error counts against the node, or asks for a rest (429, or 503 that says for how long)."""
    if isinstance(error, MisconfiguredError):
        return "misconfigured"
    if isinstance(error, NodeBusyError):
        return "rest"
    if isinstance(error, NoNodeError | RequestRejectedError) or not isinstance(error, NodeError):
        return "none"
    return "failure"


def words(error: HerdingError) -> str:
    """A few words for people; an error's own message may repeat what was sent to the node."""
    if isinstance(error, StatusError):
        return f"answers HTTP {error.status}"
    return _WORDS.get(error.type, "fails")


class CallCounter:
    """Counts calls and failures over a sliding window, in steps of a second; its memory does not grow with load."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._steps: deque[list[int]] = deque()
        self._calls = self._failed = 0

    def add(self, now: float, *, failed: bool) -> None:
        """Note a call that ended at `now`, in seconds."""
        second = int(now)
        if not self._steps or self._steps[-1][0] != second:
            self._forget_old(now)
            self._steps.append([second, 0, 0])
        step = self._steps[-1]
        step[1] += 1
        step[2] += failed
        self._calls += 1
        self._failed += failed

    def count(self, now: float) -> tuple[int, int]:
        """Calls and failures of the window that ends at `now`."""
        self._forget_old(now)
        return self._calls, self._failed

    def _forget_old(self, now: float) -> None:
        while self._steps and self._steps[0][0] <= now - self._window:
            _, calls, failed = self._steps.popleft()
            self._calls -= calls
            self._failed -= failed


class Judge(Protocol):
    """Who gives permits, and hears what came of the calls."""

    def worked(self, permit: Permit) -> None:
        """The call shows that the node answers."""

    def end(self, permit: Permit, error: HerdingError | None, *, cancelled: bool) -> None:
        """The call is over: with an answer, with `error`, or without either because its caller went away."""


class Permit:
    """One call's leave to use a node, and how its end is told. Only the first end counts; each does no harm.

    As a context manager it ends without a verdict where nothing else was told.
    """

    def __init__(self, judge: Judge, era: int, *, trial: bool) -> None:
        self._judge, self.era, self.trial = judge, era, trial
        self._ended = False

    def first_token(self) -> None:
        """The node began to answer: a trial need not wait for the end of a long answer. The end is told as well.

        Otherwise a beginning counts for nothing, as a node may stop in the middle of every answer.
        """
        if self.trial and not self._ended:
            self._judge.worked(self)

    def succeeded(self) -> None:
        """The answer is complete."""
        self._end(None)

    def failed(self, error: HerdingError) -> None:
        """The call ended with an error, whoever is to blame for it."""
        self._end(error)

    def cancelled(self) -> None:
        """The caller went away, which says nothing about the node."""
        self._end(None, cancelled=True)

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancelled()

    def _end(self, error: HerdingError | None, *, cancelled: bool = False) -> None:
        if not self._ended:
            self._ended = True
            self._judge.end(self, error, cancelled=cancelled)


class CircuitBreaker:
    """Says whether a node may be called, from what came of the calls before.

    `clock` is in seconds and never goes back. `told` hears of each change, with the breaker first. Only a call that
    began in the present state counts: answers to calls from before an ejection neither end it nor make it longer.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        rng: Random,
        rules: BreakerSettings,
        told: Callable[[CircuitBreaker, EventKind, str], None],
    ) -> None:
        self._clock, self._rng, self._rules, self._told = clock, rng, rules, told
        self._recent = CallCounter(rules.window)
        self._in_a_row = 0
        self._ejections = 0
        self._healthy_since = clock()
        self._ejected_until: float | None = None
        self._rest_until = clock()
        self._rests = 0
        self._trial: Permit | None = None
        self._trial_ended = 0.0
        self._misconfigured = False
        self._era = 0
        self.reason = ""

    @property
    def state(self) -> HealthState:
        """The state now. `trial`: the ejection is over, and the next call, or one under way, decides."""
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
        """Whether `enter` would let a call in."""
        if self._misconfigured or self._trial is not None:
            return False
        now = self._clock()
        return now >= self._rest_until and (self._ejected_until is None or now >= self._ejected_until)

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be let in, 0 where one may now; None where that takes a person (`mend`)."""
        if self._misconfigured:
            return None
        left = max(self._rest_until, self._ejected_until or 0.0) - self._clock()
        if left <= 0 and self._trial is not None:
            return self._rules.trial_guess
        return max(0.0, left)

    @property
    def probe_due(self) -> bool:
        """Whether the ejection is over and no call came that could end it, so that a probe should."""
        if self.state != "trial" or self._trial is not None:
            return False
        since = max(self._ejected_until or 0.0, self._rest_until, self._trial_ended)
        return self._clock() - since >= self._rules.unused

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._in_a_row

    @property
    def ejections(self) -> int:
        """How often the node was ejected of late."""
        return self._ejections

    def acquire(self) -> Permit | None:
        """Let a call in, or None. The caller ends the permit in any case."""
        if not self.allows_call:
            return None
        trial = self._ejected_until is not None
        permit = Permit(self, self._era, trial=trial)
        if trial:
            self._trial = permit
        return permit

    def reset(self) -> None:
        """Somebody says that the node should work again: the next call is a trial. A healthy node stays as it is."""
        if self.state == "healthy":
            return
        self._misconfigured = False
        self._rest_until, self._rests = self._clock(), 0
        self._begin_era()
        self._ejections = 0
        self._ejected_until = self._clock()
        self._told(self, "mended", "the next call is a trial")

    def end(self, permit: Permit, error: HerdingError | None, *, cancelled: bool) -> None:
        """Take what came of a call; `Permit` calls this once."""
        if self._trial is permit:
            self._trial, self._trial_ended = None, self._clock()
        if cancelled or self._misconfigured:
            return
        said = verdict(error) if error else "success"
        if error and said == "rest":
            self._rest(error)
        elif permit.era != self._era or said == "none":
            return
        elif error and said == "misconfigured":
            self._misconfigure(error)
        elif error:
            self._fail(error)
        else:
            self.worked(permit)
            self._recent.add(self._clock(), failed=False)

    def worked(self, permit: Permit) -> None:
        """A call shows that the node answers; a trial lets it back."""
        if permit.era != self._era or self._misconfigured:
            return
        self._in_a_row = self._rests = 0
        if self._ejected_until is not None:
            self._begin_era()
            permit.era = self._era
            self._ejected_until, self._healthy_since = None, self._clock()
            self._told(self, "recovered", "a trial was answered")

    def _fail(self, error: HerdingError) -> None:
        now, rules = self._clock(), self._rules
        self._in_a_row += 1
        self._recent.add(now, failed=True)
        calls, failed = self._recent.count(now)
        if self._ejected_until is not None:
            self._eject(f"{words(error)} in a trial")
        elif self._in_a_row >= rules.in_a_row:
            self._eject(f"{words(error)}: {self._in_a_row} failures in a row")
        elif calls >= rules.volume and failed >= rules.rate * calls:
            self._eject(f"{words(error)}: {failed} of {calls} calls failed in {rules.window} s")

    def _eject(self, reason: str) -> None:
        now, rules = self._clock(), self._rules
        if self._ejected_until is None:
            settled = int((now - self._healthy_since) / rules.settle)
            self._ejections = max(0, self._ejections - settled)
        self._ejections += 1
        longest = min(rules.longest, rules.ejection * self._ejections)
        seconds = longest * (1 - rules.jitter * self._rng.random())
        self._begin_era()
        self._ejected_until = now + seconds
        self.reason = reason
        self._told(self, "ejected", f"{reason}; out for {seconds:.0f} s")

    def _rest(self, error: HerdingError) -> None:
        """Rest as long as the node says. Calls that were under way do not make a rest of its own longer."""
        now, rules = self._clock(), self._rules
        asked = error.retry_after if isinstance(error, StatusError) else None
        resting = now < self._rest_until
        own = min(rules.longest_own_rest, rules.rest * 2 ** min(self._rests, 16))
        until = now + (min(max(asked, rules.rest), rules.longest_rest) if asked is not None else own)
        if resting and asked is None:
            return
        self._rest_until = max(self._rest_until, until)
        if not resting:
            self._rests += 1
            self.reason = words(error)
            self._told(self, "resting", f"{words(error)}; rests for {self._rest_until - now:.0f} s")

    def _misconfigure(self, error: HerdingError) -> None:
        self._begin_era()
        self._misconfigured = True
        self.reason = words(error)
        self._told(self, "misconfigured", f"{words(error)}; not called until an operator has mended it")

    def _begin_era(self) -> None:
        self._era += 1
        self._in_a_row = 0
        self._trial = None
        self._recent = CallCounter(self._rules.window)


class CircuitBreakers:
    """A breaker a node. A node that is not known here may be called: nothing speaks against it yet.

    `clock` is in seconds and never goes back; changes go to `events`.
    """

    def __init__(
        self, *, clock: Callable[[], float], rng: Random, events: EventLog, rules: BreakerSettings | None = None
    ) -> None:
        self._clock, self._rng, self._events = clock, rng, events
        self._rules = rules or BreakerSettings()
        self._breakers: dict[str, CircuitBreaker] = {}

    def allows(self, node: str) -> bool:
        """Whether `enter` would let a call in; no call is counted."""
        breaker = self._breakers.get(node)
        return breaker is None or breaker.allows_call

    def acquire(self, node: str) -> Permit | None:
        """A permit for one call, which the caller ends in any case; None while the node may not be called."""
        return self._breaker(node).acquire()

    def reset(self, node: str) -> None:
        """An operator has changed the node, or says that it works again: the next call is a trial."""
        if breaker := self._breakers.get(node):
            breaker.reset()

    def remove(self, node: str) -> None:
        """The node is gone, or another one takes its name. Calls under way to it are not heard any more."""
        self._breakers.pop(node, None)

    def status(self, node: str) -> NodeHealth:
        """The node's health now; a look changes nothing."""
        breaker = self._breakers.get(node)
        if breaker is None:
            return NodeHealth("healthy")
        state = breaker.state
        reason = "" if state == "healthy" else breaker.reason
        return NodeHealth(state, breaker.retry_after, reason, breaker.failures, breaker.ejections)

    def retry_after(self, nodes: Iterable[str]) -> float | None:
        """Seconds until one of the nodes may be called, 0 where one may now; None where none will by itself."""
        waits = [breaker.retry_after if (breaker := self._breakers.get(node)) else 0.0 for node in nodes]
        return min((seconds for seconds in waits if seconds is not None), default=None)

    def probes_due(self) -> list[str]:
        """The nodes whose ejection is over and that nobody has called since: a probe of each would bring it back."""
        return [node for node, breaker in self._breakers.items() if breaker.probe_due]

    def _breaker(self, node: str) -> CircuitBreaker:
        breaker = self._breakers.get(node)
        if breaker is None:
            told = partial(self._tell, node)
            breaker = CircuitBreaker(clock=self._clock, rng=self._rng, rules=self._rules, told=told)
            self._breakers[node] = breaker
        return breaker

    def _tell(self, node: str, breaker: CircuitBreaker, kind: EventKind, detail: str) -> None:
        if self._breakers.get(node) is breaker:
            self._events.record(node, kind, detail)
