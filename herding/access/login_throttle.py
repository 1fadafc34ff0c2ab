"""Slows down whoever guesses tokens: a budget of failures for each address, and one for all together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from herding.errors import LimitError

WINDOW = 60.0
"""Seconds that a failed attempt counts."""

PER_ADDRESS = 30
IN_ALL = 600


class LoginThrottle:
    """Counts wrong tokens of the last minute. `clock` is in seconds and never goes back.

    When all together failed too often, only addresses that failed themselves have to wait: nobody can lock out others.
    """

    def __init__(self, clock: Callable[[], float], *, per_address: int = PER_ADDRESS, in_all: int = IN_ALL) -> None:
        self._clock = clock
        self._per_address, self._in_all = per_address, in_all
        self._recent: deque[tuple[float, str]] = deque()
        self._by_address: dict[str, int] = {}

    def check(self, address: str) -> None:
        """LimitError while an address may not try."""
        self._forget_old()
        failed = self._by_address.get(address, 0)
        if failed >= self._per_address or (failed and len(self._recent) >= self._in_all):
            wait = WINDOW - (self._clock() - self._recent[0][0])
            raise LimitError("Too many wrong tokens. Wait a minute and try again.", retry_after=max(1.0, wait))

    def note(self, address: str) -> None:
        """An address sent a wrong token."""
        self._forget_old()
        self._recent.append((self._clock(), address))
        self._by_address[address] = self._by_address.get(address, 0) + 1

    def _forget_old(self) -> None:
        while self._recent and self._clock() - self._recent[0][0] > WINDOW:
            _, address = self._recent.popleft()
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
