"""How long a node takes, as a moving average of its last answers."""

from __future__ import annotations

from math import exp

WEIGHT = 0.2
"""What the newest answer counts, of 1, where answers come often."""

FADES = 30.0
"""Seconds without an answer after which the mean before it counts a third."""


class Latency:
    """An exponentially weighted mean of milliseconds; times are in seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self.mean: float | None = None
        self.answers = 0
        self._at = 0.0

    def add(self, took_ms: float, now: float) -> None:
        """Note one answer. The longer none came, the less the mean before it counts; the first counts until another."""
        weight = 1.0 if self.answers < 2 else max(WEIGHT, 1 - exp((self._at - now) / FADES))
        self.mean = (self.mean or 0.0) * (1 - weight) + took_ms * weight
        self._at = now
        self.answers += 1

    def age(self, now: float) -> float:
        """Seconds since the last answer; 0 where there was none."""
        return 0.0 if self.mean is None else now - self._at
