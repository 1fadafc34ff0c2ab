"""Which model answers a prompt: asks the prompt's policy, and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from random import Random
from typing import NamedTuple

import numpy as np

from herding.routing import policy
from herding.routing.explanations import deeds
from herding.routing.policy import Choice, RoutingSettings
from herding.routing.rater_weights import RaterWeights, listen
from herding.routing.record import Record
from herding.routing.shares import draw
from herding.routing.stars import Belief, believe
from herding.routing.success_share import success_shares
from herding.routing.ttl_cache import TtlCache

PROMPTS = 1_000
"""So many prompts have their shares kept."""

LASTS_MS = 3_600_000
"""Evidence fades with time as well: shares are worked out again after an hour."""


class _Asked(NamedTuple):
    """One question to a policy."""

    prompt: str
    models: tuple[str, ...]
    settings: RoutingSettings
    busy: Mapping[str, float]


class Policies:
    """Chooses models by the policy of each prompt, from a record of how they did. `clock` tells Unix milliseconds."""

    def __init__(self, record: Record, rng: Random, clock: Callable[[], int]) -> None:
        self._record, self._rng, self._clock = record, rng, clock
        self._beliefs: TtlCache[Belief] = TtlCache(most=PROMPTS, lasts_ms=LASTS_MS)
        self._voices: TtlCache[RaterWeights] = TtlCache(most=PROMPTS, lasts_ms=LASTS_MS)
        self._success: TtlCache[tuple[float, ...]] = TtlCache(most=PROMPTS, lasts_ms=LASTS_MS)
        self._turns: dict[str, count[int]] = {}
        self._by_name = {
            policy.STARS: self._stars,
            policy.SUCCESS_SHARE: self._success_share,
            policy.ROUND_ROBIN: self._round_robin,
            policy.RANDOM: self._random,
            policy.LEAST_BUSY: self._least_busy,
        }

    def choose(
        self,
        prompt: str,
        models: Sequence[str],
        settings: RoutingSettings,
        *,
        busy: Mapping[str, float],
    ) -> Choice:
        """The model for the next request of `prompt`, out of `models` in the prompt's order (at least one).

        `busy` is the outstanding work of each model, in any one unit; models without any may be missing.
        """
        if settings.pinned is not None and settings.pinned in models:
            pinned = settings.pinned
            return Choice(policy.PINNED, (pinned,), {pinned: 1.0}, f"this prompt is pinned to {pinned}")
        if len(models) == 1:
            return Choice(policy.ONLY, (models[0],), {models[0]: 1.0}, f"{models[0]} is the only model that can answer")
        if not models:
            raise ValueError("a choice needs at least one model")
        return self._by_name[settings.policy](_Asked(prompt, tuple(models), settings, busy))

    def belief(self, prompt: str, models: Sequence[str], settings: RoutingSettings) -> Belief:
        """What the stars and signals say about `models` on `prompt` now; holds until the evidence changes."""
        window = self._record.window(prompt)
        window.aim(settings.targets)
        names, now, epoch = tuple(models), self._clock(), self._record.forgotten
        voices = self._voices.get(
            (prompt, names), (epoch, window.votes_revision), now, lambda: listen(window.votes(), names, now)
        )
        return self._beliefs.get(
            (prompt, names),
            (epoch, window.revision, settings.targets),
            now,
            lambda: believe(self._record, prompt, names, voices, now),
        )

    def shares(self, prompt: str, models: Sequence[str], settings: RoutingSettings) -> dict[str, float]:
        """The chance of each candidate to be chosen next, as far as it does not hang on how busy they are."""
        names = tuple(models)
        if settings.pinned in names:
            return {name: float(name == settings.pinned) for name in names}
        if settings.policy == policy.STARS:
            given = _by_stars(self.belief(prompt, names, settings), settings)
        elif settings.policy == policy.SUCCESS_SHARE:
            given = self._successes(prompt, names, settings)
        else:
            given = (1 / len(names),) * len(names)
        return dict(zip(names, given, strict=True))

    def _stars(self, asked: _Asked) -> Choice:
        names = asked.models
        belief = self.belief(asked.prompt, names, asked.settings)
        given = _by_stars(belief, asked.settings)
        first = names[draw(given, self._rng.random())]
        mean = dict(zip(names, belief.mean, strict=True))
        shares = dict(zip(names, given, strict=True))
        seen = deeds(self._record.window(asked.prompt).counts.get(first), self._record.elsewhere(asked.prompt, first))
        return Choice(policy.STARS, _after(first, mean), shares, f"{_share(first, shares)}: {seen}")

    def _success_share(self, asked: _Asked) -> Choice:
        given = self._successes(asked.prompt, asked.models, asked.settings)
        first = asked.models[draw(given, self._rng.random())]
        shares = dict(zip(asked.models, given, strict=True))
        why = f"{_share(first, shares)} by the success of each model"
        return Choice(policy.SUCCESS_SHARE, _after(first, shares), shares, why)

    def _successes(self, prompt: str, models: tuple[str, ...], settings: RoutingSettings) -> tuple[float, ...]:
        window = self._record.window(prompt)
        window.aim(settings.targets)

        def make() -> tuple[float, ...]:
            where = [window.models.get(name, -1) for name in models]
            index, size = np.array(window.model, dtype=np.intp), len(window.models)
            totals = np.append(np.bincount(index, minlength=size), 0)[where]
            errors = np.append(np.bincount(index, np.array(window.faults), minlength=size), 0)[where]
            return tuple(success_shares(totals.tolist(), errors.tolist()))

        revision = (self._record.forgotten, window.revision, settings.targets)
        return self._success.get((prompt, models), revision, self._clock(), make)

    def _round_robin(self, asked: _Asked) -> Choice:
        turn = next(self._turns.setdefault(asked.prompt, count())) % len(asked.models)
        order = asked.models[turn:] + asked.models[:turn]
        return Choice(policy.ROUND_ROBIN, order, _equal(order), f"it is the turn of {order[0]}")

    def _random(self, asked: _Asked) -> Choice:
        order = tuple(self._rng.sample(asked.models, len(asked.models)))
        return Choice(policy.RANDOM, order, _equal(order), f"{order[0]} was drawn by lot")

    def _least_busy(self, asked: _Asked) -> Choice:
        order = tuple(sorted(asked.models, key=lambda model: asked.busy.get(model, 0.0)))
        why = f"{order[0]} has the least to do; between equals the prompt's order decides"
        return Choice(policy.LEAST_BUSY, order, dict(zip(order, _only(0, len(order)), strict=True)), why)


def _after(first: str, worth: Mapping[str, float]) -> tuple[str, ...]:
    """`first`, and then the others, the best first."""
    return (first, *sorted((model for model in worth if model != first), key=lambda model: -worth[model]))


def _by_stars(belief: Belief, settings: RoutingSettings) -> tuple[float, ...]:
    """The share of each candidate; without exploring the best has all."""
    return belief.shares if settings.explore else _only(belief.mean.index(max(belief.mean)), len(belief.mean))


def _only(index: int, size: int) -> tuple[float, ...]:
    return tuple(float(place == index) for place in range(size))


def _equal(models: tuple[str, ...]) -> dict[str, float]:
    return dict.fromkeys(models, 1 / len(models))


def _share(model: str, shares: Mapping[str, float]) -> str:
    return f"{model} gets {shares[model]:.0%} of the requests".replace("%", " %")
