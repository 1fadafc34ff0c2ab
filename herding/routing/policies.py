"""The policies that choose a model for a prompt, and what they know of each model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Generic, TypeVar

import numpy as np

from herding.errors import ConfigError
from herding.plugins import Plugins, RoutingChoice, RoutingQuery, hookimpl
from herding.plugins.calls import PluginError
from herding.plugins.hooks import Policy
from herding.routing.quality import Targets
from herding.routing.rater_weights import RaterWeights, weigh_ratings
from herding.routing.record import ModelCounts, Record
from herding.routing.shares import draw, success_shares
from herding.routing.stars import Posterior, compute_posterior

STARS = "stars"
"""The policy of prompts that name none."""

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


class BuiltInPolicies:
    """The policies of this package, as a plugin like any other."""

    @hookimpl
    def herding_routing_policies(self) -> dict[str, Policy]:
        """Return the policies."""
        return {name: policy.choose for name, policy in BUILT_IN.items()}


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

    `clock` is in Unix milliseconds. `plugins` have the policies.
    """

    def __init__(self, record: Record, rng: Random, clock: Callable[[], int], plugins: Plugins | None = None) -> None:
        self._record, self._rng, self._clock = record, rng, clock
        self._plugins = plugins or Plugins(built_in=[BuiltInPolicies()])
        self._posteriors = ResultCache[Posterior]()
        self._ratings = ResultCache[RaterWeights]()
        self._success = ResultCache[tuple[float, ...]]()
        self._rotations: dict[str, count[int]] = {}

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
        names = tuple(models)
        query = RoutingQuery(
            prompt,
            names,
            busy=busy,
            explore=settings.explore,
            random=self._rng,
            evidence=_Evidence(self, prompt, names, settings),
        )
        return self._choose(settings.policy, query)

    def _choose(self, policy: str, query: RoutingQuery) -> Choice:
        """Return the choice of a policy; that of `stars`, with the reason, where a plugin's can't choose."""
        problem = None
        try:
            if problem := self._plugins.missing("routing policy", policy):
                raise PluginError(problem)
            made = self._plugins.choose(policy, query)
        except PluginError as error:
            made, problem, policy = self._plugins.choose(STARS, query), str(error), STARS
        first = made.order[0]
        shares = _one_hot(0, len(made.order)) if made.shares is None else [made.shares[name] for name in made.order]
        why = made.why or f"{first} is the choice of the policy {policy}"
        why = f"{problem}; {why}" if problem else why
        return Choice(policy, made.order, dict(zip(made.order, shares, strict=True)), why)

    def next_turn(self, prompt: str) -> int:
        """Return the number of choices of a prompt before that took turns, and count this one."""
        return next(self._rotations.setdefault(prompt, count()))

    def is_open(self, policy: str) -> bool:
        """Return whether a policy decides only when a request comes, so that it has no shares before."""
        found = self._used(policy)
        return found is None or found.shares is None

    def _used(self, policy: str) -> BuiltInPolicy | None:
        """Return the policy of this package that chooses, `stars` where one is not installed; None for a plugin's."""
        return BUILT_IN.get(policy if self._plugins.missing("routing policy", policy) is None else STARS)

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
        policy = self._used(settings.policy)
        shares = policy.shares if policy and policy.shares else _equal
        return dict(zip(names, shares(self, prompt, names, settings), strict=True))

    def estimates(self, prompt: str, models: Sequence[str], settings: RoutingSettings) -> tuple[ModelEstimate, ...]:
        """Return the estimate of each model on a prompt, in their order."""
        if not models:
            return ()
        shares = self.shares(prompt, models, settings)
        quality = self.posterior(prompt, models, settings).mean
        return tuple(
            ModelEstimate(model, shares[model], expected, self.describe(prompt, model, settings))
            for model, expected in zip(models, quality, strict=True)
        )

    def describe(self, prompt: str, model: str, settings: RoutingSettings) -> str:
        """Return the evidence on a model in words."""
        counts = self._record.window(prompt).counts.get(model, ModelCounts())
        return counts.describe(self._record.other_prompts(prompt, model), settings.targets)

    def star_shares(self, prompt: str, models: tuple[str, ...], settings: RoutingSettings) -> tuple[float, ...]:
        """Return the probability of each model under the policy `stars`."""
        posterior = self.posterior(prompt, models, settings)
        if settings.explore:
            return posterior.shares
        return _one_hot(posterior.mean.index(max(posterior.mean)), len(models))

    def success_shares(self, prompt: str, models: tuple[str, ...], settings: RoutingSettings) -> tuple[float, ...]:
        """Return the probability of each model under the policy `success_share`."""
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


class _Evidence:
    """The evidence on models for a prompt, computed where a policy asks for it."""

    def __init__(self, policies: Policies, prompt: str, models: tuple[str, ...], settings: RoutingSettings) -> None:
        self._policies, self._prompt, self._models, self._settings = policies, prompt, models, settings

    def quality(self) -> Mapping[str, float]:
        mean = self._policies.posterior(self._prompt, self._models, self._settings).mean
        return dict(zip(self._models, mean, strict=True))

    def star_shares(self) -> Mapping[str, float]:
        found = self._policies.star_shares(self._prompt, self._models, self._settings)
        return dict(zip(self._models, found, strict=True))

    def success_shares(self) -> Mapping[str, float]:
        found = self._policies.success_shares(self._prompt, self._models, self._settings)
        return dict(zip(self._models, found, strict=True))

    def describe(self, model: str) -> str:
        return self._policies.describe(self._prompt, model, self._settings)

    def next_turn(self) -> int:
        return self._policies.next_turn(self._prompt)


def by_stars(query: RoutingQuery) -> RoutingChoice:
    """Choose by the stars of the responses."""
    shares = query.star_shares
    first = query.models[draw(tuple(shares.values()), query.random.random())]
    why = f"{_describe_share(first, shares)}: {query.describe(first)}"
    return RoutingChoice(_order(first, query.quality), shares, why)


def by_success(query: RoutingQuery) -> RoutingChoice:
    """Choose in proportion to the share of successful requests."""
    shares = query.success_shares
    first = query.models[draw(tuple(shares.values()), query.random.random())]
    why = f"{_describe_share(first, shares)} by its success: {query.describe(first)}"
    return RoutingChoice(_order(first, shares), shares, why)


def in_turn(query: RoutingQuery) -> RoutingChoice:
    """Choose one model after the other."""
    turn = query.turn % len(query.models)
    order = query.models[turn:] + query.models[:turn]
    return RoutingChoice(order, _equal_shares(order), f"{order[0]} is next in turn")


def at_random(query: RoutingQuery) -> RoutingChoice:
    """Choose any model with the same probability."""
    order = tuple(query.random.sample(query.models, len(query.models)))
    return RoutingChoice(order, _equal_shares(order), f"{order[0]} was chosen at random")


def by_load(query: RoutingQuery) -> RoutingChoice:
    """Choose the model with the least load."""
    order = tuple(sorted(query.models, key=lambda model: query.busy.get(model, 0.0)))
    return RoutingChoice(order, None, f"{order[0]} is the least busy model")


def _equal(_policies: Policies, _prompt: str, models: tuple[str, ...], _settings: RoutingSettings) -> tuple[float, ...]:
    return (1 / len(models),) * len(models)


@dataclass(frozen=True, slots=True)
class BuiltInPolicy:
    """A policy of this package, and what it does in a few words.

    `shares` returns the probability of each model before a request comes; None where only the request decides.
    """

    choose: Policy
    about: str
    shares: Callable[[Policies, str, tuple[str, ...], RoutingSettings], tuple[float, ...]] | None = None

    @property
    def learns(self) -> bool:
        """True if its shares follow the evidence."""
        return self.shares not in (None, _equal)


BUILT_IN = {
    STARS: BuiltInPolicy(by_stars, "by ratings, failures, checks and latency", Policies.star_shares),
    "success_share": BuiltInPolicy(by_success, "by the share of successful requests", Policies.success_shares),
    "round_robin": BuiltInPolicy(in_turn, "each model in turn", _equal),
    "random": BuiltInPolicy(at_random, "random choice", _equal),
    "least_busy": BuiltInPolicy(by_load, "least busy node first"),
}
"""The policies of this package by name."""


def _order(first: str, quality: Mapping[str, float]) -> tuple[str, ...]:
    """Return `first`, then the others, best first."""
    return (first, *sorted((model for model in quality if model != first), key=lambda model: -quality[model]))


def _one_hot(index: int, size: int) -> tuple[float, ...]:
    return tuple(float(place == index) for place in range(size))


def _equal_shares(models: tuple[str, ...]) -> dict[str, float]:
    return dict.fromkeys(models, 1 / len(models))


def _describe_share(model: str, shares: Mapping[str, float]) -> str:
    return f"{model} gets {shares[model]:.0%} of the requests".replace("%", " %")
