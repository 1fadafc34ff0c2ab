"""The retry budget: a failing herd must not get many more calls than a healthy one."""

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
    """Allows retries up to the share `SHARE` of the requests of the last `WINDOW` seconds, and always `minimum`.

    The minimum, one per second, leaves a lone user all attempts. A retry that succeeds does not count: only those that
    fail as well make a failing herd worse. `clock` is in seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float], *, minimum: int = MINIMUM) -> None:
        self._clock, self._minimum = clock, minimum
        self._calls, self._succeeded = CallCounter(WINDOW), CallCounter(WINDOW)

    def record_request(self) -> None:
        """Count a request, which is about to make its first attempt."""
        self._calls.add(self._clock(), failed=False)

    def allow_retry(self, *, sound: bool = False) -> bool:
        """Return whether a further attempt may be made, and count it if so.

        With a `sound` node, one without failures, it always may.
        """
        now = self._clock()
        calls, retries = self._calls.count(now)
        wasted = retries - self._succeeded.count(now)[0]
        if not sound and wasted >= max(self._minimum, SHARE * (calls - retries)):
            return False
        self._calls.add(now, failed=True)
        return True

    def record_success(self) -> None:
        """Count a retry that succeeded."""
        self._succeeded.add(self._clock(), failed=False)


def pause(retry: int, rng: Random) -> float:
    """Return the seconds to wait before a retry (from 1), with full jitter so that failed callers spread out."""
    return rng.uniform(0, min(LONGEST_SECONDS, BASE_SECONDS * 2 ** min(retry - 1, 30)))
