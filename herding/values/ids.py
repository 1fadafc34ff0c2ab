"""Identifiers of requests."""

from __future__ import annotations

import time
from secrets import token_hex
from threading import Lock

_TICKS_A_MS = 1 << 16


class Sequence:
    """Identifiers of 32 hexadecimal digits that sort in the order in which they were made.

    The first 16 digits are milliseconds since 1970 and a counter, so requests of one millisecond keep their order in
    the history, and a new row goes to the end of its index; the other 16 are random, so processes that share a
    database never meet. A clock that is set back does not turn the order around.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = Lock()

    def new(self) -> str:
        """An id greater than all before it."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1_000_000 * _TICKS_A_MS)
            return f"{self._last:016x}{token_hex(8)}"


new_id = Sequence().new
