"""The policy `stars`: the share of a model is the probability that it is the best one.

The quality of a request is the success rate of the model times the quality of its responses, of which signals (checks
and latency) make up one fifth and stars four fifths (herding/routing/quality.py). Each is estimated on the prompt's
window, where old evidence fades, with a weak prior from the model's other prompts. Signals predict stars to some
extent, so a model without stars is judged by its signals. This is Thompson sampling ("On the likelihood that one
unknown probability exceeds another", 1933) with computed instead of sampled probabilities, so that the share that is
shown is the probability to be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from herding.routing.quality import BASE_QUALITY, CHECK_FAILURE_COST, STARS_WEIGHT, scale
from herding.routing.rater_weights import STARS_SPREAD, TINY, RaterWeights
from herding.routing.record import ModelCounts, Record, SampleWindow
from herding.routing.shares import Array, probability_best, with_floor

MIN_SHARE = 0.01
"""The smallest share of a model; with many models, a fifth of an equal share."""

SIGNALS_FADE = 0.995
FAILURES_FADE = 0.94
"""The factor on the weight of a request with each later one on the same prompt: for signals, and for failures."""

HALF_LIFE_MS = 7 * 86_400_000
"""Signals and failures lose half their weight in 7 days."""

SIGNALS_SPREAD = 0.2
"""The standard deviation of the signals' quality on responses of one model."""

PREFERENCE_SPREAD = 0.13
"""The standard deviation of a model's stars from what its signals predict."""

HALF_SPREAD_WEIGHT = 20.0
"""The weight of stars on a prompt at which half of PREFERENCE_SPREAD is expected."""

LEVEL_PRIOR = 5.0
"""The weight of stars at which half of their level on a prompt, whatever the model, is believed."""

PRIOR = 2.0
"""The weight of the prior, in requests."""

FAILURE_RATE = 0.05
"""The failure rate of a model without data."""

OTHER_PROMPTS = 20.0
"""Requests on other prompts that weigh as much as having no data."""

MAX_MOVE = 0.03
"""The largest change of a share by one dominant rater."""

LIMITED_RATERS = 6
"""Raters with the greatest influence to whom that limit applies."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """The expected quality of each candidate in [0, 1], its standard deviation, and the share of requests."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Signals:
    """Estimates for each model without stars, each of shape (models,); `liking` is from other prompts."""

    answers: Array
    answers_var: Array
    value: Array
    value_var: Array
    liking: Array


def compute_posterior(record: Record, prompt: str, models: Sequence[str], ratings: RaterWeights, now: int) -> Posterior:
    """Compute the posterior of models on a prompt at `now` (ms), given its ratings."""
    signals = _signals(record, prompt, models, now)
    together = ratings.weight.sum(axis=0), ratings.value.sum(axis=0)
    mean, sd = _posterior(signals, *together)
    shares = _limit_raters(probability_best(mean, sd), signals, ratings, together)
    shares = with_floor(shares, min(MIN_SHARE, 0.2 / len(models)))
    return Posterior(tuple(mean.tolist()), tuple(sd.tolist()), tuple(shares.tolist()))


def _signals(record: Record, prompt: str, models: Sequence[str], now: int) -> _Signals:
    others = [record.other_prompts(prompt, model) for model in models]
    fails, value, liking = (np.array(column) for column in zip(*map(_prior, others), strict=True))
    weight, ok, good, recent, recent_ok = _faded(record.window(prompt), models, now)
    usually = (ok + (1 - fails) * PRIOR) / (weight + PRIOR)
    answers = (recent_ok + usually * PRIOR) / (recent + PRIOR)
    return _Signals(
        answers=answers,
        answers_var=answers * (1 - answers) / (weight + PRIOR + 1),
        value=(good + value * PRIOR) / (ok + PRIOR),
        value_var=SIGNALS_SPREAD**2 / (ok + PRIOR),
        liking=liking - liking.mean(),
    )


def _prior(count: ModelCounts) -> tuple[float, float, float]:
    """Return the expected failure rate, response quality and liking of a model with such counts on other prompts."""
    fails = (count.failed + FAILURE_RATE * OTHER_PROMPTS) / (count.requests + OTHER_PROMPTS)
    check_failures = count.checks_failed / (count.checks_passed + count.checks_failed + OTHER_PROMPTS)
    liked = scale(count.stars / count.rated) - 0.5 if count.rated else 0.0
    return (
        fails,
        BASE_QUALITY - CHECK_FAILURE_COST * check_failures,
        liked * count.rated / (count.rated + OTHER_PROMPTS),
    )


def _faded(window: SampleWindow, models: Sequence[str], now: int) -> tuple[Array, Array, Array, Array, Array]:
    """Add up by model, each of shape (models,): the weights of requests, of successful ones, and the quality of these;
    and with the faster fading of failures, the weights of requests and of successful ones.
    """
    size, columns = len(window.at), max(1, len(window.models))
    age = np.maximum(now - np.array(window.at, dtype=np.float64), 0)
    by_time = np.exp2(age / -HALF_LIFE_MS)
    ok = np.array(window.ok)
    slow, fast = by_time * _fading_weights(SIGNALS_FADE, size), by_time * _fading_weights(FAILURES_FADE, size)
    model = np.array(window.model, dtype=np.intp)
    where = np.array([window.models.get(name, -1) for name in models])

    def by_model(values: Array) -> Array:
        sums = np.bincount(model, values, minlength=columns)[where]
        kept: Array = np.where(where < 0, 0.0, sums)
        return kept

    answered = slow * ok
    value = answered * np.array(window.quality)
    return by_model(slow), by_model(answered), by_model(value), by_model(fast), by_model(fast * ok)


@lru_cache(maxsize=16)
def _fading_weights(fades: float, size: int) -> Array:
    """Return the weights of `size` requests, oldest first."""
    weights: Array = np.power(fades, np.arange(size - 1, -1, -1, dtype=np.float64))
    return weights


def _posterior(signals: _Signals, weight: Array, value: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of the quality of a request; inputs and results of shape (..., models).

    The general level of the stars on this prompt is estimated first: if all models are liked less than their signals
    predict, those without stars probably are as well.
    """
    whole = weight.sum(axis=-1, keepdims=True)
    level = (value - weight * signals.value).sum(axis=-1, keepdims=True) / (whole + LEVEL_PRIOR)
    predicted = signals.value + level + signals.liking
    spread = PREFERENCE_SPREAD**2 * whole / (whole + HALF_SPREAD_WEIGHT) + TINY
    precision = 1 / spread + weight / STARS_SPREAD**2
    liked = (predicted / spread + value / STARS_SPREAD**2) / precision
    answer = (1 - STARS_WEIGHT) * signals.value + STARS_WEIGHT * liked
    answer_var = signals.value_var + STARS_WEIGHT**2 / precision
    mean = signals.answers * answer
    sd = np.sqrt(signals.answers**2 * answer_var + answer**2 * signals.answers_var)
    return mean, sd


def _limit_raters(shares: Array, signals: _Signals, ratings: RaterWeights, together: tuple[Array, Array]) -> Array:
    """Move `shares` towards those without each dominant rater, as far as that one moves them by more than MAX_MOVE."""
    if not ratings.dominance.any():
        return shares
    weight, value = together
    mean = value / np.maximum(weight, TINY)
    pull = np.abs(ratings.value - ratings.weight * mean) / (weight + (STARS_SPREAD / PREFERENCE_SPREAD) ** 2)
    limited_raters = np.argsort(ratings.dominance * pull.max(axis=1))[-LIMITED_RATERS:]
    without = probability_best(
        *_posterior(signals, weight - ratings.weight[limited_raters], value - ratings.value[limited_raters])
    )
    moves = np.abs(without - shares).max(axis=1)
    back = ratings.dominance[limited_raters] * np.maximum(0, 1 - MAX_MOVE / np.maximum(moves, MAX_MOVE))
    back /= max(1.0, back.sum())
    limited: Array = shares + back @ (without - shares)
    return limited
