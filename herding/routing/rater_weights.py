"""The weights of raters: what each model got from each of them, and how much a single rater counts.

Ratings age with each later rating of the same rater, and with the last few later ratings of each other rater, so that
no one can displace the others by rating often. A rater without others counts in full. The more other raters there are,
the closer the total weight of a rater is limited to twice the usual one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from herding.routing.quality import scale
from herding.routing.record import Vote
from herding.routing.shares import Array

FADES = 0.98
"""The factor on the weight of a rating with each later one."""

AGING_RATINGS = 6
"""The number of a rater's last ratings that age the ratings of others."""

HALF_LIFE_MS = 30 * 86_400_000
"""A rating loses half its weight in 30 days."""

FULL_WEIGHT = 5.0
"""The weight of ratings at which a rater counts as one full rater."""

FULL_COMPANY = 3.0
"""The number of other full raters at which limits apply in full."""

MAX_FACTOR = 2.0
"""The maximum weight of a rater among others, as a multiple of the mean weight of the others."""

STARS_SPREAD = 0.2
"""The standard deviation of stars (as a quality) on responses of one model."""

TASTE_SPREAD = 0.1
"""The standard deviation between the tastes of two raters."""

OUTLIER = 1.5
"""Standard deviations from the others beyond which a rater is trusted less, with the fourth power of the excess."""

TRUST_ROUNDS = 2
"""Iterations that compute the trust in raters, each weighted by the one before."""

TINY = 1e-9


@dataclass(frozen=True, slots=True)
class RaterWeights:
    """Weights and weighted sums of the stars (as a quality from 0 to 1), both of shape (raters, models).

    `dominance`, of shape (raters,), goes from 0 to 1 for a rater among several others with twice the usual weight.
    """

    weight: Array
    value: Array
    dominance: Array


def weigh_ratings(votes: Iterable[Vote], models: Sequence[str], now: int) -> RaterWeights:
    """Compute the weights of the raters in `votes` (newest first) on `models`, at `now` (ms)."""
    column = {model: index for index, model in enumerate(models)}
    rows: dict[str, int] = {}
    given: list[tuple[int, int, float, float]] = []
    own: Counter[str] = Counter()
    clock = 0
    for vote in votes:
        later = own[vote.principal]
        if vote.model in column:
            age = clock + max(0, later - AGING_RATINGS)
            weight = FADES**age * 0.5 ** (max(0, now - vote.at) / HALF_LIFE_MS)
            row = rows.setdefault(vote.principal, len(rows))
            given.append((row, column[vote.model], weight, scale(vote.stars)))
        own[vote.principal] = later + 1
        clock += later < AGING_RATINGS
    weights, value = np.zeros((len(rows), len(models))), np.zeros((len(rows), len(models)))
    for row, model, weight, quality in given:
        weights[row, model] += weight
        value[row, model] += weight * quality
    return _balanced(weights, value)


def _balanced(weight: Array, value: Array) -> RaterWeights:
    if len(weight) < 2:
        return RaterWeights(weight, value, np.zeros(len(weight)))
    own = weight.sum(axis=1)
    full = np.minimum(own / FULL_WEIGHT, 1)
    company = np.minimum((full.sum() - full) / FULL_COMPANY, 1)
    usual = (own.sum() - own) / (len(own) - 1)
    most = np.maximum(MAX_FACTOR * usual, FULL_WEIGHT)
    factor = np.minimum(1, most / np.maximum(own, TINY)) ** company
    weight, value = weight * factor[:, None], value * factor[:, None]
    trust = np.ones(len(weight))
    for _ in range(TRUST_ROUNDS):
        trust = _trust(weight, value, trust[:, None]) ** company
    dominance = company * np.clip(own / np.maximum(usual, TINY) - 1, 0, 1)
    return RaterWeights(weight * trust[:, None], value * trust[:, None], dominance)


def _trust(weight: Array, value: Array, before: Array) -> Array:
    """Return the trust in each rater, which falls with the largest deviation from the others on any model.

    The others are weighted by `before`, of shape (raters, 1).
    """
    others = (weight * before).sum(axis=0) - weight * before
    others_mean = ((value * before).sum(axis=0) - value * before) / np.maximum(others, TINY)
    difference = np.abs(value / np.maximum(weight, TINY) - others_mean)
    usual = np.sqrt(STARS_SPREAD**2 * (1 / np.maximum(weight, TINY) + 1 / np.maximum(others, TINY)) + TASTE_SPREAD**2)
    deviation = np.where((weight > 0) & (others > 0), difference / usual, 0.0).max(axis=1)
    trust: Array = np.minimum(1, OUTLIER / np.maximum(deviation, TINY)) ** 4
    return trust
