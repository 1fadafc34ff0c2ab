"""A limit on failures, such as invalid tokens, per client address and in total."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from herding.errors import LimitError

WINDOW = 60.0
"""Seconds for which a failed attempt counts."""

PER_ADDRESS = 30
TOTAL = 600


class AddressThrottle:
    """Counts the failures of the last minute. `clock` is monotonic, in seconds; `message` tells why to wait.

    Above the total, only addresses with failures of their own must wait, so that no client locks out others.
    """

    def __init__(
        self, clock: Callable[[], float], message: str, *, per_address: int, total: float = float("inf")
    ) -> None:
        self._clock, self._message = clock, message
        self._per_address, self._total = per_address, total
        self._recent: deque[tuple[float, str, int]] = deque()
        self._by_address: dict[str, int] = {}

    def check(self, address: str) -> None:
        """Raise LimitError if an address must wait."""
        self._drop_expired()
        failed = self._by_address.get(address, 0)
        if failed >= self._per_address or (failed and len(self._recent) >= self._total):
            wait = WINDOW - (self._clock() - self._recent[0][0])
            raise LimitError(self._message, retry_after=max(1.0, wait))

    def record_failure(self, address: str, *, weight: int = 1) -> None:
        """Count a failure of an address."""
        self._drop_expired()
        self._recent.append((self._clock(), address, weight))
        self._by_address[address] = self._by_address.get(address, 0) + weight

    def _drop_expired(self) -> None:
        while self._recent and self._clock() - self._recent[0][0] > WINDOW:
            _, address, weight = self._recent.popleft()
            self._by_address[address] -= weight
            if not self._by_address[address]:
                del self._by_address[address]


class LoginThrottle(AddressThrottle):
    """Counts invalid tokens."""

    def __init__(self, clock: Callable[[], float], *, per_address: int = PER_ADDRESS) -> None:
        message = "Too many invalid tokens. Wait a minute and try again."
        super().__init__(clock, message, per_address=per_address, total=TOTAL)
