"""One node's breaker: ejects it when it fails, and lets it back by one trial at a time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from herding.errors import HerdingError, StatusError
from herding.routing.breaker_settings import BreakerSettings
from herding.routing.error_classes import verdict, words
from herding.routing.feed import EventKind
from herding.routing.permit import Permit
from herding.routing.recent import Recent
from herding.values import HealthState


class Breaker:
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
        told: Callable[[Breaker, EventKind, str], None],
    ) -> None:
        self._clock, self._rng, self._rules, self._told = clock, rng, rules, told
        self._recent = Recent(rules.window)
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
    def may(self) -> bool:
        """Whether `enter` would let a call in."""
        if self._misconfigured or self._trial is not None:
            return False
        now = self._clock()
        return now >= self._rest_until and (self._ejected_until is None or now >= self._ejected_until)

    @property
    def wait(self) -> float | None:
        """Seconds until a call may be let in, 0 where one may now; None where that takes a person (`mend`)."""
        if self._misconfigured:
            return None
        left = max(self._rest_until, self._ejected_until or 0.0) - self._clock()
        if left <= 0 and self._trial is not None:
            return self._rules.trial_guess
        return max(0.0, left)

    @property
    def due(self) -> bool:
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

    def enter(self) -> Permit | None:
        """Let a call in, or None. The caller ends the permit in any case."""
        if not self.may:
            return None
        trial = self._ejected_until is not None
        permit = Permit(self, self._era, trial=trial)
        if trial:
            self._trial = permit
        return permit

    def mend(self) -> None:
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
        self._recent = Recent(self._rules.window)
