"""The policy `stars`: a model gets requests as often as it is, by all that is known, probably the best one.

What a request is worth with a model is how often it answers times how good its answers are, and that is one fifth
signals (checks and time) and four fifths stars (herding/routing/quality.py). Each of the three is estimated on the
prompt's window, where old evidence fades, and starts from a weak prior out of the model's other prompts. Signals
foretell stars to some extent, so that a model without stars is judged by its signals. Thompson, "On the likelihood that
one unknown probability exceeds another" (1933), gives the rule; here its probabilities are worked out rather than drawn
from, so that the share that is told is the chance to be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from herding.routing.quality import CHECK_FAILURE_COST, PLAIN, STARS_WEIGHT, scale
from herding.routing.rater_weights import STARS_SPREAD, TINY, RaterWeights
from herding.routing.record import ModelCounts, Record, SampleWindow
from herding.routing.shares import Array, best, floored

LEAST = 0.01
"""The share that every model keeps; with many models, a fifth of an equal one."""

SIGNALS_FADE = 0.995
FAILURES_FADE = 0.94
"""What is left of the weight of a request after one more on the same prompt: for its signals, and for failing."""

HALF_LIFE_MS = 7 * 86_400_000
"""Signals and failures lose half their weight in 7 days."""

SIGNALS_SPREAD = 0.2
"""The standard deviation of the signals' worth on answers of one model."""

LIKING_SPREAD = 0.13
"""How far the stars of a model lie from what its signals foretell: one standard deviation."""

STARTS_AT = 20.0
"""The weight of stars on a prompt that makes half of LIKING_SPREAD be expected."""

VAGUE = 5.0
"""The weight of stars that tells half of how a prompt is liked whatever the model."""

PRIOR = 2.0
"""The weight of what is known beforehand, in requests."""

FAILS = 0.05
"""How often a model fails of which nothing is known."""

ELSEWHERE = 20.0
"""So many requests on other prompts count as much as knowing nothing."""

NUDGE = 0.03
"""How far one loud rater may move a share."""

WATCHED = 6
"""So many raters with the greatest influence are held to that."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is thought of each candidate: expected quality in [0, 1], its standard deviation, and the share it gets."""

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Signals:
    """What is known of each model without stars, each of shape (models,); `liking` is the liking elsewhere."""

    answers: Array
    answers_var: Array
    worth: Array
    worth_var: Array
    liking: Array


def believe(record: Record, prompt: str, models: Sequence[str], voices: RaterWeights, now: int) -> Belief:
    """What to think of `models` on a prompt at `now` (ms), given its stars."""
    signals = _signals(record, prompt, models, now)
    together = voices.weight.sum(axis=0), voices.worth.sum(axis=0)
    mean, sd = _posterior(signals, *together)
    shares = _held(best(mean, sd), signals, voices, together)
    shares = floored(shares, min(LEAST, 0.2 / len(models)))
    return Belief(tuple(mean.tolist()), tuple(sd.tolist()), tuple(shares.tolist()))


def _signals(record: Record, prompt: str, models: Sequence[str], now: int) -> _Signals:
    elsewhere = [record.elsewhere(prompt, model) for model in models]
    fails, worth, liking = (np.array(column) for column in zip(*map(_beforehand, elsewhere), strict=True))
    weight, ok, good, recent, recent_ok = _faded(record.window(prompt), models, now)
    usually = (ok + (1 - fails) * PRIOR) / (weight + PRIOR)
    answers = (recent_ok + usually * PRIOR) / (recent + PRIOR)
    return _Signals(
        answers=answers,
        answers_var=answers * (1 - answers) / (weight + PRIOR + 1),
        worth=(good + worth * PRIOR) / (ok + PRIOR),
        worth_var=SIGNALS_SPREAD**2 / (ok + PRIOR),
        liking=liking - liking.mean(),
    )


def _beforehand(count: ModelCounts) -> tuple[float, float, float]:
    """How often a model with such counts elsewhere fails, what its answers are worth, and how they are liked."""
    fails = (count.failed + FAILS * ELSEWHERE) / (count.requests + ELSEWHERE)
    check_failures = count.checks_failed / (count.checks_passed + count.checks_failed + ELSEWHERE)
    liked = scale(count.stars / count.rated) - 0.5 if count.rated else 0.0
    return fails, PLAIN - CHECK_FAILURE_COST * check_failures, liked * count.rated / (count.rated + ELSEWHERE)


def _faded(window: SampleWindow, models: Sequence[str], now: int) -> tuple[Array, Array, Array, Array, Array]:
    """Sums by model, of shape (models,) each: weights of the requests, of those answered, and the worth of these; and
    with the faster fading of failures, the weights of the requests and of those answered.
    """
    size, columns = len(window.at), max(1, len(window.models))
    age = np.maximum(now - np.array(window.at, dtype=np.float64), 0)
    by_time = np.exp2(age / -HALF_LIFE_MS)
    ok = np.array(window.ok)
    slow, fast = by_time * _aged(SIGNALS_FADE, size), by_time * _aged(FAILURES_FADE, size)
    model = np.array(window.model, dtype=np.intp)
    where = np.array([window.models.get(name, -1) for name in models])

    def by_model(values: Array) -> Array:
        sums = np.bincount(model, values, minlength=columns)[where]
        kept: Array = np.where(where < 0, 0.0, sums)
        return kept

    answered = slow * ok
    worth = answered * np.array(window.worth)
    return by_model(slow), by_model(answered), by_model(worth), by_model(fast), by_model(fast * ok)


@lru_cache(maxsize=16)
def _aged(fades: float, size: int) -> Array:
    """The weights of `size` requests, the oldest first."""
    weights: Array = np.power(fades, np.arange(size - 1, -1, -1, dtype=np.float64))
    return weights


def _posterior(signals: _Signals, weight: Array, worth: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of what a request is worth; stars of shape (..., models), so are the results.

    The level of the stars on this prompt is taken out of them: where all models are liked less than their signals
    foretell, those without stars probably are as well.
    """
    whole = weight.sum(axis=-1, keepdims=True)
    level = (worth - weight * signals.worth).sum(axis=-1, keepdims=True) / (whole + VAGUE)
    foretold = signals.worth + level + signals.liking
    spread = LIKING_SPREAD**2 * whole / (whole + STARTS_AT) + TINY
    precision = 1 / spread + weight / STARS_SPREAD**2
    liked = (foretold / spread + worth / STARS_SPREAD**2) / precision
    answer = (1 - STARS_WEIGHT) * signals.worth + STARS_WEIGHT * liked
    answer_var = signals.worth_var + STARS_WEIGHT**2 / precision
    mean = signals.answers * answer
    sd = np.sqrt(signals.answers**2 * answer_var + answer**2 * signals.answers_var)
    return mean, sd


def _held(shares: Array, signals: _Signals, voices: RaterWeights, together: tuple[Array, Array]) -> Array:
    """`shares` moved towards those without a loud rater, as far as that one moves them by more than NUDGE."""
    if not voices.loud.any():
        return shares
    weight, worth = together
    mean = worth / np.maximum(weight, TINY)
    pull = np.abs(voices.worth - voices.weight * mean) / (weight + (STARS_SPREAD / LIKING_SPREAD) ** 2)
    watched = np.argsort(voices.loud * pull.max(axis=1))[-WATCHED:]
    without = best(*_posterior(signals, weight - voices.weight[watched], worth - voices.worth[watched]))
    moves = np.abs(without - shares).max(axis=1)
    back = voices.loud[watched] * np.maximum(0, 1 - NUDGE / np.maximum(moves, NUDGE))
    back /= max(1.0, back.sum())
    held: Array = shares + back @ (without - shares)
    return held
