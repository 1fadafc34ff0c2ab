"""How many retries are too many: a failing herd must not get more calls than a healthy one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from herding.routing.breaker import CallCounter

SHARE = 0.2
MINIMUM = 10
WINDOW = 10
BASE_SECONDS = 0.025
LONGEST_SECONDS = 0.25


class RetryBudget:
    """Allows retries up to the share `SHARE` of the requests of the last `WINDOW` seconds, and `MINIMUM` in any case.

    The minimum, one a second, leaves a lone user all attempts. A retry that was answered gives its place back: only
    those that fail as well make a failing herd worse. `clock` is in seconds and never goes back.
    """

    def __init__(
        self, clock: Callable[[], float], *, share: float = SHARE, minimum: int = MINIMUM, window: int = WINDOW
    ) -> None:
        self._clock, self._share, self._minimum = clock, share, minimum
        self._calls, self._answered = CallCounter(window), CallCounter(window)

    def record_request(self) -> None:
        """A request begins; its first attempt."""
        self._calls.add(self._clock(), failed=False)

    def allow_retry(self, *, sound: bool = False) -> bool:
        """Whether a further attempt may be made; one that may is counted.

        It always may where there is a `sound` node: one that does not fail others.
        """
        now = self._clock()
        calls, retries = self._calls.count(now)
        wasted = retries - self._answered.count(now)[0]
        if not sound and wasted >= max(self._minimum, self._share * (calls - retries)):
            return False
        self._calls.add(now, failed=True)
        return True

    def record_success(self) -> None:
        """A retry got its answer."""
        self._answered.add(self._clock(), failed=False)


def pause(retry: int, rng: Random) -> float:
    """Seconds to wait before the `retry`th retry (from 1): full jitter, so that callers that failed together part."""
    return rng.uniform(0, min(LONGEST_SECONDS, BASE_SECONDS * 2 ** min(retry - 1, 30)))
