"""The policies that choose a model for a prompt, and what they know of each model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from herding.errors import ConfigError
from herding.routing.quality import Targets
from herding.routing.rater_weights import RaterWeights, weigh_ratings
from herding.routing.record import ModelCounts, Record
from herding.routing.shares import draw, success_shares
from herding.routing.stars import Posterior, compute_posterior

STARS = "stars"
SUCCESS_SHARE = "success_share"
ROUND_ROBIN = "round_robin"
RANDOM = "random"
LEAST_BUSY = "least_busy"

POLICIES = (STARS, SUCCESS_SHARE, ROUND_ROBIN, RANDOM, LEAST_BUSY)

PINNED = "pinned"
ONLY = "only"
"""The policy of a choice without alternatives: a pinned model, or the only candidate."""

CACHE_SIZE = 1_000
"""Prompts with cached shares."""

CACHE_MS = 3_600_000
"""Milliseconds after which cached shares are computed again, since evidence fades with time as well."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a node."""

    model: str
    node: str


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """The settings by which a prompt chooses its model.

    A `pinned` model is always chosen while it is a candidate. Without `explore`, `stars` always takes the model with
    the best expected quality. A response slower than `slow_ms` costs its model quality, one within `fast_ms` gains it.
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
        """The latencies of slow and fast responses."""
        return Targets(slow_ms=self.slow_ms, fast_ms=self.fast_ms)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen model, first in `order`, and those to try next if it fails.

    `shares` are the probabilities with which the candidates were to be chosen (they add up to 1), `why` one sentence.
    """

    policy: str
    order: tuple[str, ...]
    shares: Mapping[str, float]
    why: str


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """The estimate of one model on a prompt.

    `share` is the probability to be chosen next and `quality` the expected quality of a response (both 0-1). `why`
    describes the evidence.
    """

    model: str
    share: float
    quality: float
    why: str


class _Query(NamedTuple):
    prompt: str
    models: tuple[str, ...]
    settings: RoutingSettings
    busy: Mapping[str, float]


class ResultCache(Generic[V]):
    """Keeps the `size` most recently used results, each while its revision stays and for at most `max_age_ms`."""

    def __init__(self, *, size: int = CACHE_SIZE, max_age_ms: int = CACHE_MS) -> None:
        self._size, self._max_age_ms = size, max_age_ms
        self._results: OrderedDict[Hashable, tuple[Hashable, int, V]] = OrderedDict()

    def get(self, key: Hashable, revision: Hashable, now: int, make: Callable[[], V]) -> V:
        """Return the cached result for `key`, or that of `make` if it has another revision or is old at `now` (ms)."""
        found = self._results.get(key)
        if found is None or found[0] != revision or not found[1] <= now < found[1] + self._max_age_ms:
            found = self._results[key] = (revision, now, make())
        self._results.move_to_end(key)
        if len(self._results) > self._size:
            self._results.popitem(last=False)
        return found[2]


class Policies:
    """Chooses models by the policy of each prompt, from the record of how they performed.

    `clock` is in Unix milliseconds.
    """

    def __init__(self, record: Record, rng: Random, clock: Callable[[], int]) -> None:
        self._record, self._rng, self._clock = record, rng, clock
        self._posteriors = ResultCache[Posterior]()
        self._ratings = ResultCache[RaterWeights]()
        self._success = ResultCache[tuple[float, ...]]()
        self._rotations: dict[str, count[int]] = {}
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
        """Return the model for the next request of a prompt, out of `models` in the prompt's order (at least one).

        `busy` is the outstanding work of each model in any one unit; models without any may be missing.
        """
        if settings.pinned is not None and settings.pinned in models:
            pinned = settings.pinned
            return Choice(PINNED, (pinned,), {pinned: 1.0}, f"{pinned} is pinned for this prompt")
        if len(models) == 1:
            return Choice(ONLY, (models[0],), {models[0]: 1.0}, f"{models[0]} is the only available model")
        if not models:
            raise ValueError("a choice needs at least one model")
        return self._by_name[settings.policy](_Query(prompt, tuple(models), settings, busy))

    def posterior(self, prompt: str, models: Sequence[str], settings: RoutingSettings) -> Posterior:
        """Return what stars and signals say about models on a prompt; cached until the evidence changes."""
        window = self._record.window(prompt)
        window.set_targets(settings.targets)
        names, now, evictions = tuple(models), self._clock(), self._record.evictions
        ratings = self._ratings.get(
            (prompt, names),
            (evictions, window.votes_revision),
            now,
            lambda: weigh_ratings(window.votes(), names, now),
        )
        return self._posteriors.get(
            (prompt, names),
            (evictions, window.revision, settings.targets),
            now,
            lambda: compute_posterior(self._record, prompt, names, ratings, now),
        )

    def shares(self, prompt: str, models: Sequence[str], settings: RoutingSettings) -> dict[str, float]:
        """Return the probability of each candidate to be chosen next, as far as it does not depend on their load."""
        names = tuple(models)
        if settings.pinned in names:
            return {name: float(name == settings.pinned) for name in names}
        if settings.policy == STARS:
            shares = self._star_shares(prompt, names, settings)
        elif settings.policy == SUCCESS_SHARE:
            shares = self._success_shares(prompt, names, settings)
        else:
            shares = (1 / len(names),) * len(names)
        return dict(zip(names, shares, strict=True))

    def estimates(self, prompt: str, models: Sequence[str], settings: RoutingSettings) -> tuple[ModelEstimate, ...]:
        """Return the estimate of each model on a prompt, in their order."""
        if not models:
            return ()
        shares = self.shares(prompt, models, settings)
        quality = self.posterior(prompt, models, settings).mean
        return tuple(
            ModelEstimate(model, shares[model], expected, self._describe(prompt, model, settings))
            for model, expected in zip(models, quality, strict=True)
        )

    def _describe(self, prompt: str, model: str, settings: RoutingSettings) -> str:
        counts = self._record.window(prompt).counts.get(model, ModelCounts())
        return counts.describe(self._record.other_prompts(prompt, model), settings.targets)

    def _stars(self, query: _Query) -> Choice:
        prompt, names, settings, _ = query
        drawn = self._star_shares(prompt, names, settings)
        first = names[draw(drawn, self._rng.random())]
        mean = dict(zip(names, self.posterior(prompt, names, settings).mean, strict=True))
        shares = dict(zip(names, drawn, strict=True))
        why = f"{_describe_share(first, shares)}: {self._describe(prompt, first, settings)}"
        return Choice(STARS, _order(first, mean), shares, why)

    def _star_shares(self, prompt: str, models: tuple[str, ...], settings: RoutingSettings) -> tuple[float, ...]:
        posterior = self.posterior(prompt, models, settings)
        if settings.explore:
            return posterior.shares
        return _one_hot(posterior.mean.index(max(posterior.mean)), len(models))

    def _success_share(self, query: _Query) -> Choice:
        drawn = self._success_shares(query.prompt, query.models, query.settings)
        first = query.models[draw(drawn, self._rng.random())]
        shares = dict(zip(query.models, drawn, strict=True))
        why = f"{_describe_share(first, shares)} by its success"
        evidence = self._describe(query.prompt, first, query.settings)
        return Choice(SUCCESS_SHARE, _order(first, shares), shares, f"{why}: {evidence}")

    def _success_shares(self, prompt: str, models: tuple[str, ...], settings: RoutingSettings) -> tuple[float, ...]:
        window = self._record.window(prompt)
        window.set_targets(settings.targets)

        def make() -> tuple[float, ...]:
            columns = [window.models.get(name, -1) for name in models]
            index, size = np.array(window.model, dtype=np.intp), len(window.models)
            totals = np.append(np.bincount(index, minlength=size), 0)[columns]
            errors = np.append(np.bincount(index, np.array(window.faults), minlength=size), 0)[columns]
            return tuple(success_shares(totals.tolist(), errors.tolist()))

        revision = (self._record.evictions, window.revision, settings.targets)
        return self._success.get((prompt, models), revision, self._clock(), make)

    def _round_robin(self, query: _Query) -> Choice:
        turn = next(self._rotations.setdefault(query.prompt, count())) % len(query.models)
        order = query.models[turn:] + query.models[:turn]
        return Choice(ROUND_ROBIN, order, _equal_shares(order), f"{order[0]} is next in turn")

    def _random(self, query: _Query) -> Choice:
        order = tuple(self._rng.sample(query.models, len(query.models)))
        return Choice(RANDOM, order, _equal_shares(order), f"{order[0]} was chosen at random")

    def _least_busy(self, query: _Query) -> Choice:
        order = tuple(sorted(query.models, key=lambda model: query.busy.get(model, 0.0)))
        why = f"{order[0]} is the least busy model"
        return Choice(LEAST_BUSY, order, dict(zip(order, _one_hot(0, len(order)), strict=True)), why)


def _order(first: str, quality: Mapping[str, float]) -> tuple[str, ...]:
    """Return `first`, then the others, best first."""
    return (first, *sorted((model for model in quality if model != first), key=lambda model: -quality[model]))


def _one_hot(index: int, size: int) -> tuple[float, ...]:
    return tuple(float(place == index) for place in range(size))


def _equal_shares(models: tuple[str, ...]) -> dict[str, float]:
    return dict.fromkeys(models, 1 / len(models))


def _describe_share(model: str, shares: Mapping[str, float]) -> str:
    return f"{model} gets {shares[model]:.0%} of the requests".replace("%", " %")
