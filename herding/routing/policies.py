"""Which model answers a prompt: asks the prompt's policy, and says why."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from herding.errors import ConfigError
from herding.routing.quality import Targets
from herding.routing.rater_weights import RaterWeights, listen
from herding.routing.record import ModelCounts, Record, deeds
from herding.routing.shares import draw
from herding.routing.stars import Belief, believe
from herding.routing.success_share import success_shares

V = TypeVar("V")


class ResultCache(Generic[V]):
    """Keeps the `most` results that were asked for last, each for as long as its revision stays and for `lasts_ms`."""

    def __init__(self, *, most: int, lasts_ms: int) -> None:
        self._most, self._lasts_ms = most, lasts_ms
        self._kept: OrderedDict[Hashable, tuple[Hashable, int, V]] = OrderedDict()

    def get(self, key: Hashable, revision: Hashable, now: int, make: Callable[[], V]) -> V:
        """The result of `make` for `key`; made anew where the kept one has another revision or is old at `now` (ms)."""
        kept = self._kept.get(key)
        if kept is not None and kept[0] == revision and kept[1] <= now < kept[1] + self._lasts_ms:
            self._kept.move_to_end(key)
            return kept[2]
        value = make()
        self._kept[key] = (revision, now, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a node."""

    model: str
    node: str


STARS = "stars"
SUCCESS_SHARE = "success_share"
ROUND_ROBIN = "round_robin"
RANDOM = "random"
LEAST_BUSY = "least_busy"

POLICIES = (STARS, SUCCESS_SHARE, ROUND_ROBIN, RANDOM, LEAST_BUSY)

PINNED = "pinned"
ONLY = "only"
"""What a choice calls itself where no policy was asked: a pinned model, and the only candidate."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """How a prompt chooses its model.

    With a `pinned` model there is no choice as long as that is a candidate. Without `explore`, `stars` always takes the
    model that it thinks best. An answer that takes longer than `slow_ms` costs its model, one within `fast_ms` earns.
    """

    policy: str = STARS
    pinned: str | None = None
    explore: bool = True
    slow_ms: float = 2_500
    fast_ms: float = 900

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ConfigError(f"there is no policy '{self.policy}'; choose one of: {', '.join(POLICIES)}", key="policy")
        if not 0 < self.fast_ms <= self.slow_ms < float("inf"):
            raise ConfigError("fast_ms must be above 0 and at most slow_ms; both are milliseconds", key="fast_ms")

    @property
    def targets(self) -> Targets:
        """When an answer is slow and when it is fast."""
        return Targets(slow_ms=self.slow_ms, fast_ms=self.fast_ms)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model to try, and in `order` which next should it fail; `order` starts with the pick.

    `shares` is the probability with which each candidate was to be chosen (they add up to 1), `why` one sentence.
    """

    policy: str
    order: tuple[str, ...]
    shares: Mapping[str, float]
    why: str


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
        self._beliefs: ResultCache[Belief] = ResultCache(most=PROMPTS, lasts_ms=LASTS_MS)
        self._voices: ResultCache[RaterWeights] = ResultCache(most=PROMPTS, lasts_ms=LASTS_MS)
        self._success: ResultCache[tuple[float, ...]] = ResultCache(most=PROMPTS, lasts_ms=LASTS_MS)
        self._turns: dict[str, count[int]] = {}
        self._by_name = {
            STARS: self._stars,
            SUCCESS_SHARE: self._success_share,
            ROUND_ROBIN: self._round_robin,
            RANDOM: self._random,
            LEAST_BUSY: self._least_busy,
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
            return Choice(PINNED, (pinned,), {pinned: 1.0}, f"this prompt is pinned to {pinned}")
        if len(models) == 1:
            return Choice(ONLY, (models[0],), {models[0]: 1.0}, f"{models[0]} is the only model that can answer")
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
        if settings.policy == STARS:
            given = _by_stars(self.belief(prompt, names, settings), settings)
        elif settings.policy == SUCCESS_SHARE:
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
        return Choice(STARS, _after(first, mean), shares, f"{_share(first, shares)}: {seen}")

    def _success_share(self, asked: _Asked) -> Choice:
        given = self._successes(asked.prompt, asked.models, asked.settings)
        first = asked.models[draw(given, self._rng.random())]
        shares = dict(zip(asked.models, given, strict=True))
        why = f"{_share(first, shares)} by the success of each model"
        return Choice(SUCCESS_SHARE, _after(first, shares), shares, why)

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
        return Choice(ROUND_ROBIN, order, _equal(order), f"it is the turn of {order[0]}")

    def _random(self, asked: _Asked) -> Choice:
        order = tuple(self._rng.sample(asked.models, len(asked.models)))
        return Choice(RANDOM, order, _equal(order), f"{order[0]} was drawn by lot")

    def _least_busy(self, asked: _Asked) -> Choice:
        order = tuple(sorted(asked.models, key=lambda model: asked.busy.get(model, 0.0)))
        why = f"{order[0]} has the least to do; between equals the prompt's order decides"
        return Choice(LEAST_BUSY, order, dict(zip(order, _only(0, len(order)), strict=True)), why)


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


NORMAL_95 = 1.96
LEAST_SPREAD = 0.5
"""Stars spread at least by so much: two equal ratings are no proof that all others will be the same."""


@dataclass(frozen=True, slots=True)
class ModelEstimate:
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
) -> tuple[ModelEstimate, ...]:
    """A line for each of `models`, in their order."""
    if not models:
        return ()
    counts = record.window(prompt).counts
    shares = policies.shares(prompt, models, settings)
    worth = policies.belief(prompt, models, settings).mean
    whys = [deeds(counts.get(model, ModelCounts()), record.elsewhere(prompt, model)) for model in models]
    return tuple(
        ModelEstimate(model, shares[model], quality, why)
        for model, quality, why in zip(models, worth, whys, strict=True)
    )


def interval(count: ModelCounts) -> tuple[float | None, float | None, float | None]:
    """The mean of the stars and its 95 % normal interval within 1 to 5; None three times where there are no stars."""
    if not count.rated:
        return None, None, None
    mean = count.stars / count.rated
    variance = max(0.0, count.squares - count.stars * mean) / max(1, count.rated - 1)
    wide = NORMAL_95 * max(LEAST_SPREAD, math.sqrt(variance)) / math.sqrt(count.rated)
    return mean, max(1.0, mean - wide), min(5.0, mean + wide)
