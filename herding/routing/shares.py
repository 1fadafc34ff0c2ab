"""Shares of requests: probabilities, one a model, that add up to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

POINTS = 32
_DEVIATES: Array = np.array([NormalDist().inv_cdf((i + 0.5) / POINTS) for i in range(POINTS)])
"""Midpoints of slices of equal probability of the normal distribution."""

_TANH_SLOPE = math.sqrt(2 / math.pi)
_TANH_CUBIC = 0.044715


def best(mean: Array, sd: Array) -> Array:
    """The probability that each is the greatest of independent normal variables; arrays of shape (..., models).

    Where one variable is in each of its slices of equal probability, the others are all below it with the product of
    their distribution functions; the mean over the slices is the answer.
    """
    at = mean[..., :, None] + sd[..., :, None] * _DEVIATES
    away = (at[..., :, :, None] - mean[..., None, None, :]) / sd[..., None, None, :]
    below = _below(away)
    models = np.arange(mean.shape[-1])
    below[..., models, :, models] = 1.0
    chance: Array = below.prod(axis=-1).mean(axis=-1)
    whole: Array = chance / chance.sum(axis=-1, keepdims=True)
    return whole


def _below(away: Array) -> Array:
    """The normal distribution function, to 0.0003 (the tanh form of Hendrycks and Gimpel, "GELUs", 2016)."""
    result: Array = 0.5 * (1 + np.tanh(_TANH_SLOPE * (away + _TANH_CUBIC * away * away * away)))
    return result


def floored(shares: Array, least: float) -> Array:
    """`shares` (adding up to 1, shape (models,)) mixed with an equal part for each, so that none is below `least`."""
    result: Array = (1 - least * len(shares)) * shares + least
    return result


def draw(shares: Sequence[float], at: float) -> int:
    """The index whose range covers `at` in [0, 1), where the ranges lie side by side, the smallest share first."""
    upper = 0.0
    ranked = sorted(range(len(shares)), key=shares.__getitem__)
    for index in ranked:
        upper += shares[index]
        if at < upper:
            return index
    return ranked[-1]
