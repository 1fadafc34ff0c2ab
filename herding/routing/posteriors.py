"""How each model does on a prompt, for people: numbers, and why it gets the share it gets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from herding.routing.explanations import deeds
from herding.routing.policies import Policies
from herding.routing.policy import RoutingSettings
from herding.routing.record import Record
from herding.routing.window import Count

NORMAL_95 = 1.96
LEAST_SPREAD = 0.5
"""Stars spread at least by so much: two equal ratings are no proof that all others will be the same."""


@dataclass(frozen=True, slots=True)
class Insight:
    """One model on a prompt.

    `share` is the chance to be chosen next, `quality` what a request is expected to be worth (both 0-1), `why` in words
    what it did.
    """

    model: str
    share: float
    quality: float
    why: str


def insights(
    policies: Policies, record: Record, prompt: str, models: Sequence[str], settings: RoutingSettings
) -> tuple[Insight, ...]:
    """A line for each of `models`, in their order."""
    if not models:
        return ()
    counts = record.window(prompt).counts
    shares = policies.shares(prompt, models, settings)
    worth = policies.belief(prompt, models, settings).mean
    whys = [deeds(counts.get(model, Count()), record.elsewhere(prompt, model)) for model in models]
    return tuple(
        Insight(model, shares[model], quality, why) for model, quality, why in zip(models, worth, whys, strict=True)
    )


def interval(count: Count) -> tuple[float | None, float | None, float | None]:
    """The mean of the stars and its 95 % normal interval within 1 to 5; None three times where there are no stars."""
    if not count.rated:
        return None, None, None
    mean = count.stars / count.rated
    variance = max(0.0, count.squares - count.stars * mean) / max(1, count.rated - 1)
    wide = NORMAL_95 * max(LEAST_SPREAD, math.sqrt(variance)) / math.sqrt(count.rated)
    return mean, max(1.0, mean - wide), min(5.0, mean + wide)
