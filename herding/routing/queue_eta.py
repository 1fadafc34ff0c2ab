"""How fast a line of waiting requests moves."""

from __future__ import annotations

from math import exp

FADES = 30.0
"""Seconds after which what was granted counts a third."""


class QueueEta:
    """Requests granted a second of waiting, where older ones count less. Times are in seconds."""

    def __init__(self) -> None:
        self._granted = self._seconds = self._at = 0.0

    def begin(self, now: float) -> None:
        """Somebody waits again; the time in which nobody did does not count."""
        self._at = now

    def granted(self, now: float) -> None:
        """One of those who wait was granted."""
        passed = now - self._at
        fade = exp(-passed / FADES)
        self._granted = self._granted * fade + 1
        self._seconds = self._seconds * fade + passed
        self._at = now

    def seconds(self, position: int, now: float) -> float | None:
        """How long the request at `position` (from 1) will wait; None while too few were granted to tell."""
        fade = exp(-(now - self._at) / FADES)
        if self._granted * fade < 1:
            return None
        return position * (self._seconds * fade + now - self._at) / (self._granted * fade)
