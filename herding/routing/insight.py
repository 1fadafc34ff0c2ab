"""How each model does on a prompt, for people: numbers, and why it gets the share it gets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from herding.routing.policies import Policies
from herding.routing.policy import RoutingSettings
from herding.routing.record import Record
from herding.routing.window import Count, Window
from herding.routing.words import deeds

NORMAL_95 = 1.96
LEAST_SPREAD = 0.5
"""Stars spread at least by so much: two equal ratings are no proof that all others will be the same."""


@dataclass(frozen=True, slots=True)
class Insight:
    """One model on a prompt, or one version of the prompt with it.

    `low` and `high` are the 95 % normal interval of the mean stars; None, as the mean, without ratings. Rates are 0-1,
    the one of breaches among answers that have a contract (None without any). `share` is the chance to be chosen next,
    `quality` what a request is expected to be worth (0-1); both are the model's, whatever the version.
    """

    model: str
    version: int | None
    requests: int
    error_rate: float
    breach_rate: float | None
    rated: int
    mean_stars: float | None
    low: float | None
    high: float | None
    share: float
    quality: float
    why: str


def insights(
    policies: Policies,
    record: Record,
    prompt: str,
    models: Sequence[str],
    settings: RoutingSettings,
    *,
    by_version: bool = False,
) -> tuple[Insight, ...]:
    """A line for each of `models` in their order; with `by_version` one for each version, the newest first."""
    if not models:
        return ()
    window = record.window(prompt)
    shares = policies.shares(prompt, models, settings)
    worth = dict(zip(models, policies.belief(prompt, models, settings).mean, strict=True))
    counts: Iterable[tuple[str, int | None, Count]]
    if by_version:
        counts = _versions(window, models)
    else:
        counts = ((model, None, window.counts.get(model, Count())) for model in models)
    elsewhere = {model: record.elsewhere(prompt, model) for model in models}
    return tuple(
        _insight(*line, share=shares[line[0]], quality=worth[line[0]], elsewhere=elsewhere[line[0]]) for line in counts
    )


def _versions(window: Window, models: Sequence[str]) -> list[tuple[str, int | None, Count]]:
    counts: dict[tuple[str, int], Count] = {}
    for sample in window.samples:
        count = counts.setdefault((sample.model, sample.version), Count())
        count.sample(sample, 1)
        for stars in window.stars(sample):
            count.rating(stars, 1)
    return [
        (model, version, counts[name, version])
        for model in models
        for name, version in sorted(counts, key=lambda key: -key[1])
        if name == model
    ]


def _insight(
    model: str, version: int | None, count: Count, *, share: float, quality: float, elsewhere: Count
) -> Insight:
    judged = count.kept + count.breached
    mean, low, high = interval(count)
    return Insight(
        model=model,
        version=version,
        requests=count.requests,
        error_rate=count.failed / count.requests if count.requests else 0.0,
        breach_rate=count.breached / judged if judged else None,
        rated=count.rated,
        mean_stars=mean,
        low=low,
        high=high,
        share=share,
        quality=quality,
        why=deeds(count, elsewhere),
    )


def interval(count: Count) -> tuple[float | None, float | None, float | None]:
    """The mean of the stars and its 95 % normal interval within 1 to 5; None three times where there are no stars."""
    if not count.rated:
        return None, None, None
    mean = count.stars / count.rated
    variance = max(0.0, count.squares - count.stars * mean) / max(1, count.rated - 1)
    wide = NORMAL_95 * max(LEAST_SPREAD, math.sqrt(variance)) / math.sqrt(count.rated)
    return mean, max(1.0, mean - wide), min(5.0, mean + wide)
