"""Insights into a prompt: the results of its versions on each model, and the routing of the next request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from herding.access.operations import INSIGHTS, MODELS, PUBLISH
from herding.access.roles import require
from herding.errors import UserError
from herding.evaluation.learning import Learning, settings
from herding.evaluation.version_matrix import RequestBucket, VersionModelStats, build_matrix, count_over_time
from herding.herd.fleet import Fleet
from herding.prompts.model import Prompt
from herding.routing.policies import RoutingSettings
from herding.store.statistics import StatisticsStore
from herding.studio.catalog import PromptCatalog
from herding.studio.version_cache import RunnableVersion
from herding.values import AttemptStats, ModelStats, Principal, Reset
from herding.values.durations import DAY_MS, HOUR_MS

MAX_REQUESTS = 20_000
"""Maximum number of requests of a prompt in its statistics; the newest count."""

SPANS = {7: 12 * HOUR_MS, 30: DAY_MS, 90: 3 * DAY_MS}
"""The periods of a report in days, with the width of their time buckets in milliseconds."""


@dataclass(frozen=True, slots=True)
class RoutingPrediction:
    """The chance that a model gets the next request (`share`), its expected `quality` (0-1), and the reason (`why`).

    `against` is the reason why it cannot be chosen now; `share` is 0 then. `share` is None if it depends on the load.
    """

    model: str
    share: float | None
    quality: float
    why: str
    against: str | None = None


@dataclass(frozen=True, slots=True)
class PromptInsights:
    """The report on a prompt. `version` is the live one. Times are in Unix milliseconds.

    `total` requests ended in the period; the statistics include the newest `read` of them.
    """

    prompt: str
    version: int
    days: int
    since: int
    until: int
    routing: RoutingSettings
    cells: tuple[VersionModelStats, ...]
    models: tuple[RoutingPrediction, ...]
    buckets: tuple[RequestBucket, ...]
    bucket_ms: int
    total: int
    read: int
    reset: Reset | None


class Insights:
    """Reports on the results of models, and resets what the routing learned from them.

    Every method takes the principal and raises AccessError if their role does not allow it.
    """

    def __init__(
        self,
        *,
        store: StatisticsStore,
        learning: Learning,
        fleet: Fleet,
        prompts: PromptCatalog,
        clock: Callable[[], int],
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        self._store, self._learning, self._fleet = store, learning, fleet
        self._prompts, self._clock, self._max_requests = prompts, clock, max_requests

    async def get(self, prompt: str, who: Principal, *, days: int = 30) -> PromptInsights:
        """Return the report on a prompt over the last `days` (one of SPANS). Raises NotFoundError.

        It includes the requests of all users, but none of their texts.
        """
        require(who, INSIGHTS)
        if days not in SPANS:
            raise UserError(f"Choose one of these periods: {', '.join(map(str, SPANS))} days.", param="days")
        found = await self._prompts.resolve(prompt.partition("@")[0], who)
        now = self._clock()
        since = now - days * DAY_MS
        total, tries = await self._store.attempts(found.key, since=since, limit=self._max_requests)
        predictions = self._predict(found, who)
        served = {model.model: model.share for model in predictions}
        cells, buckets = await asyncio.to_thread(_compute, tries, SPANS[days], found.number, served)
        return PromptInsights(
            prompt=found.key,
            version=found.number,
            days=days,
            since=since,
            until=now,
            routing=settings(found.prompt),
            cells=cells,
            models=predictions,
            buckets=buckets,
            bucket_ms=SPANS[days],
            total=total,
            read=min(total, self._max_requests),
            reset=(await self._store.learning_resets()).get(found.key),
        )

    async def reset(self, prompt: str, who: Principal) -> Reset:
        """Reset the routing data of a prompt: the policy ignores earlier requests from now on. Durable on return.

        Requests and stars stay in the history and in the statistics.
        """
        require(who, INSIGHTS)
        require(who, PUBLISH)
        found = await self._prompts.resolve(prompt.partition("@")[0], who)
        reset = Reset(found.key, self._clock(), who.id)
        await self._learning.reset(reset)
        return reset

    async def models(self, who: Principal) -> Mapping[str, ModelStats]:
        """Return the statistics of every model in the last 24 hours by its id."""
        require(who, MODELS)
        return await self._store.model_stats(since=self._clock() - DAY_MS)

    def _predict(self, found: RunnableVersion, who: Principal) -> tuple[RoutingPrediction, ...]:
        """Return the predictions for the target models, in their order in the prompt."""
        prompt, said = found.prompt, settings(found.prompt)
        against = {model: self._unavailable_reason(model, prompt, who) for model in prompt.target_models}
        able = [model for model, reason in against.items() if reason is None]
        estimates = self._learning.policies.estimates
        lines = {line.model: line for models in (list(against), able) for line in estimates(found.key, models, said)}
        open_yet = self._learning.policies.is_open(said.policy) and len(able) > 1
        shares = {model: None if open_yet else lines[model].share for model in able}
        return tuple(
            RoutingPrediction(model, shares.get(model, 0.0), lines[model].quality, lines[model].why, reason)
            for model, reason in against.items()
        )

    def _unavailable_reason(self, model: str, prompt: Prompt, who: Principal) -> str | None:
        """Return why a model cannot be chosen now, or None. A busy model can be chosen."""
        pinned = prompt.routing.pinned if prompt.routing else None
        if pinned not in (None, model):
            return f"{pinned} is pinned for this prompt"
        names = [node.name for node in self._fleet.usable(who) if model in node.serves]
        if not names:
            return "no node serves it now"
        if any(self._fleet.takes(name) and self._fleet.health.allows(name) for name in names):
            return None
        return "; ".join(f"{name} is {self._state(name)}" for name in names)

    def _state(self, name: str) -> str:
        """Return the state of a node that is not available."""
        if not self._fleet.takes(name):
            return "draining"
        state = self._fleet.health.status(name).state
        return "being retried" if state == "trial" else state


def _compute(
    tries: Sequence[AttemptStats], width: int, version: int, shares: Mapping[str, float | None]
) -> tuple[tuple[VersionModelStats, ...], tuple[RequestBucket, ...]]:
    return build_matrix(tries, version, shares), count_over_time(tries, width)
