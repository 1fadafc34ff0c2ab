"""The quality of one response, from 0 to 1, by signals and stars.

A response without stars starts at 0.75. A failed check takes 0.4, passing gives 0.1. Slowness takes up to 0.2:
nothing at `slow_ms`, all of it at twice that. Speed gives up to 0.1: nothing at `fast_ms`, all of it at half of that.
Stars, where there are any, make up four fifths (1 star 0, 5 stars 1) and the signals one fifth. A failure is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

STARS_WEIGHT = 0.8
"""The weight of stars in the quality of a rated response."""

BASE_QUALITY = 0.75
CHECK_FAILURE_COST = 0.4
CHECKS_PASSED_BONUS = 0.1
SLOW_COST = 0.2
FAST_BONUS = 0.1

FAULT_CHECK = 0.3
FAULT_SLOW = 0.1
FAULT_FAST = -0.1
"""Fractions of an error in the policy `success_share`."""


@dataclass(frozen=True, slots=True)
class Targets:
    """The latencies above which a response is slow and below which it is fast."""

    slow_ms: float = 2_500
    fast_ms: float = 900


@dataclass(frozen=True, slots=True)
class Sample:
    """The result of one request on one model.

    `at` is the time of the request (Unix ms), by which samples are sorted. `ok` is False if the model failed;
    `checks_passed` is None without checks. A request that failed over to another model has a sample for each.
    """

    request_id: str
    prompt: str
    model: str
    at: int
    ok: bool
    checks_passed: bool | None = None
    total_ms: float = 0.0


def signals(sample: Sample, targets: Targets) -> float:
    """Return the quality in [0, 1] without regard to stars."""
    if not sample.ok:
        return 0.0
    value = BASE_QUALITY
    if sample.checks_passed is not None:
        value += CHECKS_PASSED_BONUS if sample.checks_passed else -CHECK_FAILURE_COST
    if sample.total_ms > targets.slow_ms:
        value -= SLOW_COST * min(1.0, sample.total_ms / targets.slow_ms - 1)
    elif sample.total_ms < targets.fast_ms:
        value += FAST_BONUS * min(1.0, 2 * (1 - max(0.0, sample.total_ms) / targets.fast_ms))
    return value


def quality(sample: Sample, targets: Targets, stars: Sequence[int] = ()) -> float:
    """Return the quality in [0, 1] of a response with its stars (1-5)."""
    value = signals(sample, targets)
    if not sample.ok or not stars:
        return value
    return (1 - STARS_WEIGHT) * value + STARS_WEIGHT * scale(sum(stars) / len(stars))


def scale(stars: float) -> float:
    """Convert stars from 1 to 5 to a quality from 0 to 1."""
    return (stars - 1) / 4


def fault(sample: Sample, targets: Targets) -> float:
    """Return a request as a fraction of an error, for the policy `success_share`: 1 for a failure, else -0.1 to 0.4."""
    if not sample.ok:
        return 1.0
    amount = FAULT_CHECK if sample.checks_passed is False else 0.0
    if sample.total_ms > targets.slow_ms:
        return amount + FAULT_SLOW
    return amount + FAULT_FAST if sample.total_ms < targets.fast_ms else amount
