"""How good one answer was, from 0 to 1, as far as signals and stars tell.

An answer without stars starts at 0.75. A failed check takes 0.4, passing gives 0.1. Slowness takes up to 0.2:
nothing at `slow_ms`, all of it at twice that. Speed gives up to 0.1: nothing at `fast_ms`, all of it at half of that.
Stars, where there are any, make four fifths of the whole (1 star 0, 5 stars 1) and the signals one fifth. A failure
is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STARS_WEIGHT = 0.8
"""The part of stars in the quality of an answer that has some."""

PLAIN = 0.75
CHECK_FAILURE_COST = 0.4
CHECKS_PASSED_BONUS = 0.1
SLOW_COSTS = 0.2
FAST_EARNS = 0.1


@dataclass(frozen=True, slots=True)
class Targets:
    """An answer above `slow_ms` is slow, one below `fast_ms` fast."""

    slow_ms: float = 2_500
    fast_ms: float = 900


@dataclass(frozen=True, slots=True)
class Sample:
    """What one request showed of one model.

    `at` is when the request came (Unix ms), and its place among the others. `ok` is False where the model failed,
    `checks_passed` None where there are no checks. A request that went on to another model has a sample for each.
    """

    request_id: str
    prompt: str
    model: str
    at: int
    ok: bool
    checks_passed: bool | None = None
    total_ms: float = 0.0


def signals(sample: Sample, targets: Targets) -> float:
    """The quality in [0, 1] as everything but stars tells it."""
    if not sample.ok:
        return 0.0
    worth = PLAIN
    if sample.checks_passed is not None:
        worth += CHECKS_PASSED_BONUS if sample.checks_passed else -CHECK_FAILURE_COST
    if sample.total_ms > targets.slow_ms:
        worth -= SLOW_COSTS * min(1.0, sample.total_ms / targets.slow_ms - 1)
    elif sample.total_ms < targets.fast_ms:
        worth += FAST_EARNS * min(1.0, 2 * (1 - max(0.0, sample.total_ms) / targets.fast_ms))
    return worth


def quality(sample: Sample, targets: Targets, stars: Sequence[int] = ()) -> float:
    """The quality in [0, 1] of one request for its model, with the stars (1-5) that it got so far."""
    worth = signals(sample, targets)
    if not sample.ok or not stars:
        return worth
    return (1 - STARS_WEIGHT) * worth + STARS_WEIGHT * scale(sum(stars) / len(stars))


def scale(stars: float) -> float:
    """Stars from 1 to 5 as a quality from 0 to 1."""
    return (stars - 1) / 4
