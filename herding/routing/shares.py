"""Shares of requests: one probability for each model, adding up to 1."""

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

MIN_SUCCESS_SHARE = 0.02
"""The smallest share of a model by success; with many models, a fifth of an equal share."""


def probability_best(mean: Array, sd: Array) -> Array:
    """Return the probability of each of independent normal variables to be the greatest; shapes are (..., models).

    For each slice of equal probability of a variable, the others are all below it with the product of their
    distribution functions; the result is the mean over the slices.
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
    """Return the normal distribution function, to 0.0003 (the tanh form of Hendrycks and Gimpel, "GELUs", 2016)."""
    result: Array = 0.5 * (1 + np.tanh(_TANH_SLOPE * (away + _TANH_CUBIC * away * away * away)))
    return result


def with_floor(shares: Array, least: float) -> Array:
    """Mix `shares` (shape (models,)) with an equal part for each, so that none is below `least`."""
    result: Array = (1 - least * len(shares)) * shares + least
    return result


def draw(shares: Sequence[float], at: float) -> int:
    """Return the index whose range covers `at` in [0, 1); the ranges lie side by side, smallest share first."""
    upper = 0.0
    ranked = sorted(range(len(shares)), key=shares.__getitem__)
    for index in ranked:
        upper += shares[index]
        if at < upper:
            return index
    return ranked[-1]


def success_shares(
    totals: Sequence[float], errors: Sequence[float], *, least: float = MIN_SUCCESS_SHARE
) -> list[float]:
    """Return the share of each model in proportion to its success; they add up to 1, and none is below `least`.

    After Rodrigo Ribeiro Gomes, "Orchestrating Small Language Models (SLM) using JavaScript and the Hugging Face
    Inference API" (2024), except that no model falls to 0. Errors below 0 count as none and errors above the total as
    all. A model whose numbers are not finite, or whose total is not above 0, gets the mean of the others.
    """
    successes = [_success(total, error) for total, error in zip(totals, errors, strict=True)]
    known = [success for success in successes if success is not None]
    mean = sum(known) / len(known) if known else 0.0
    success = [mean if one is None else one for one in successes]
    whole = sum(success)
    if whole <= 0:
        return [1 / len(success)] * len(success) if success else []
    least = min(least, 0.2 / len(success))
    rest = 1 - least * len(success)
    return [least + rest * one / whole for one in success]


def _success(total: float, errors: float) -> float | None:
    if not (math.isfinite(total) and math.isfinite(errors) and total > 0):
        return None
    return min(1.0, max(0.0, 1 - errors / total))
