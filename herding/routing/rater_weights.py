"""The stars of all raters together: what each model got, and how much a single rater has to say.

Stars age: each later rating of the same rater lessens a rating, and so do the later ratings of the others, but of each
of them no more than the last few, so that nobody can vote the others into oblivion. Somebody who rates alone counts in
full. The more company a rater has, the closer their whole weight comes to at most twice the usual one.
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
"""What is left of the weight of a rating after one more."""

PUSHES = 6
"""So many of the last ratings of a rater make the ratings of others older."""

HALF_LIFE_MS = 30 * 86_400_000
"""A rating loses half its weight in 30 days."""

VOICE = 5.0
"""The weight of ratings that makes a full voice."""

COMPANY = 3.0
"""So many full voices of others are company."""

MOST_TIMES = 2.0
"""How many times the mean weight of the others a rater in company has, at most."""

STARS_SPREAD = 0.2
"""The standard deviation of stars (as a quality) on answers of one model."""

TASTE = 0.1
"""How far apart the tastes of two raters are."""

ODD = 1.5
"""A rater further off the others than so many standard deviations is heeded less, with the fourth power of that."""

ROUNDS = 2
"""Who is heeded is found in so many rounds: the first says who to ask in the next."""

TINY = 1e-9


@dataclass(frozen=True, slots=True)
class RaterWeights:
    """Weights and weighted sums of the stars (as a quality from 0 to 1), both of shape (raters, models).

    `loud`, of shape (raters,), goes from 0 to 1 for a rater among several others with twice the usual weight or more.
    """

    weight: Array
    worth: Array
    loud: Array


def listen(votes: Iterable[Vote], models: Sequence[str], now: int) -> RaterWeights:
    """The voices in `votes` (newest first) on `models`, at `now` (ms)."""
    column = {model: index for index, model in enumerate(models)}
    rows: dict[str, int] = {}
    given: list[tuple[int, int, float, float]] = []
    own: Counter[str] = Counter()
    clock = 0
    for vote in votes:
        later = own[vote.principal]
        if vote.model in column:
            age = clock + max(0, later - PUSHES)
            weight = FADES**age * 0.5 ** (max(0, now - vote.at) / HALF_LIFE_MS)
            row = rows.setdefault(vote.principal, len(rows))
            given.append((row, column[vote.model], weight, scale(vote.stars)))
        own[vote.principal] = later + 1
        clock += later < PUSHES
    weights, worth = np.zeros((len(rows), len(models))), np.zeros((len(rows), len(models)))
    for row, model, weight, quality in given:
        weights[row, model] += weight
        worth[row, model] += weight * quality
    return _balanced(weights, worth)


def _balanced(weight: Array, worth: Array) -> RaterWeights:
    if len(weight) < 2:
        return RaterWeights(weight, worth, np.zeros(len(weight)))
    own = weight.sum(axis=1)
    voice = np.minimum(own / VOICE, 1)
    company = np.minimum((voice.sum() - voice) / COMPANY, 1)
    usual = (own.sum() - own) / (len(own) - 1)
    most = np.maximum(MOST_TIMES * usual, VOICE)
    factor = np.minimum(1, most / np.maximum(own, TINY)) ** company
    weight, worth = weight * factor[:, None], worth * factor[:, None]
    heeded = np.ones(len(weight))
    for _ in range(ROUNDS):
        heeded = _heeded(weight, worth, heeded[:, None]) ** company
    loud = company * np.clip(own / np.maximum(usual, TINY) - 1, 0, 1)
    return RaterWeights(weight * heeded[:, None], worth * heeded[:, None], loud)


def _heeded(weight: Array, worth: Array, before: Array) -> Array:
    """How much each rater is heeded: less and less, the further off the others they are on the model where most so.

    What the others say is heeded as much as `before`, of shape (raters, 1).
    """
    others = (weight * before).sum(axis=0) - weight * before
    they = ((worth * before).sum(axis=0) - worth * before) / np.maximum(others, TINY)
    difference = np.abs(worth / np.maximum(weight, TINY) - they)
    usual = np.sqrt(STARS_SPREAD**2 * (1 / np.maximum(weight, TINY) + 1 / np.maximum(others, TINY)) + TASTE**2)
    odd = np.where((weight > 0) & (others > 0), difference / usual, 0.0).max(axis=1)
    heeded: Array = np.minimum(1, ODD / np.maximum(odd, TINY)) ** 4
    return heeded
