"""Insights into a prompt: the results of its versions on each model, and the routing of the next request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from herding.access.operations import INSIGHTS, MODELS, PUBLISH
from herding.access.roles import allows, allows_all, require
from herding.errors import UserError
from herding.evaluation.learning import Learning, settings
from herding.evaluation.version_matrix import (
    NodeModelStats,
    RequestBucket,
    VersionModelStats,
    build_matrix,
    count_attempts,
    count_by_node,
    count_over_time,
    summarize,
)
from herding.herd.fleet import Fleet
from herding.prompts.model import Prompt
from herding.routing.policies import RoutingSettings
from herding.routing.record import ModelCounts
from herding.routing.share_history import Evidence, ShareStep, copy_evidence, replay_shares
from herding.store.statistics import PromptRequests, StatisticsStore
from herding.studio.catalog import PromptCatalog
from herding.studio.version_cache import RunnableVersion
from herding.values import AttemptStats, ModelStats, Principal, Reset
from herding.values.durations import DAY_MS, HOUR_MS, MINUTE_MS

MAX_REQUESTS = 20_000
"""Maximum number of requests of a prompt in its statistics; the newest count."""

MAX_RECENT = 200
"""Attempts of a report that are shown one by one."""

ALL_VERSIONS = " (routing also learns from other versions)"
"""Follows the evidence that a role sees which may not see all versions."""

TIMELINE_WIDTHS = (5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS, 12 * HOUR_MS)
MAX_TIMELINE = 36
"""Periods into which a timeline is split at most, if it does not cover the whole report."""

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

    `total` requests ended in the period; the statistics include the newest `read` of them. `recent` are the newest
    attempts, oldest first; `shares` is how the shares of the models moved, up to now. `whole` has the statistics of all
    attempts together. `timeline` counts them in periods of `timeline_ms`, which are short while all of them are recent.
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
    nodes: tuple[NodeModelStats, ...] = ()
    shares: tuple[ShareStep, ...] = ()
    recent: tuple[AttemptStats, ...] = ()
    whole: VersionModelStats | None = None
    timeline: tuple[RequestBucket, ...] = ()
    timeline_ms: int = DAY_MS


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

        It includes the requests of all users, but none of their texts, on the versions that `who` may see. Runs of
        unsaved changes are left out for those who may not see all versions.
        """
        require(who, INSIGHTS)
        if days not in SPANS:
            raise UserError(f"Choose one of these periods: {', '.join(map(str, SPANS))} days.", param="days")
        found = await self._prompts.resolve(prompt.partition("@")[0], who)
        now = self._clock()
        since = now - days * DAY_MS
        total, tries = await self._read(found, since, who)
        said = settings(found.prompt)
        predictions = self._predict(found, who)
        able = [model.model for model in predictions if model.against is None]
        # The evidence of all versions decides: its course would tell a limited role when the others are used.
        whole = allows_all(who.prompts, found.key)
        evidence = copy_evidence(self._learning.record, found.key, able) if whole else Evidence((), {})
        if not whole:
            seen = {
                model.model: count_attempts(one for one in tries if one.model == model.model) for model in predictions
            }
            predictions = tuple(
                replace(model, why=f"{seen[model.model].describe(ModelCounts(), said.targets)}{ALL_VERSIONS}")
                for model in predictions
            )
        shown = [one for one in tries if allows(who.nodes, one.node)]
        report = PromptInsights(
            prompt=found.key,
            version=found.number,
            days=days,
            since=since,
            until=now,
            routing=said,
            cells=(),
            models=predictions,
            buckets=(),
            bucket_ms=SPANS[days],
            total=total,
            read=min(total, self._max_requests),
            reset=(await self._store.learning_resets()).get(found.key),
            recent=tuple(tries[-MAX_RECENT:]),
        )

        def compute() -> PromptInsights:
            served = {model.model: model.share for model in predictions}
            width = _timeline_width(tries, now, SPANS[days])
            return replace(
                report,
                cells=build_matrix(tries, found.number, served),
                buckets=count_over_time(tries, SPANS[days]),
                nodes=count_by_node(shown),
                shares=replay_shares(evidence, able, said, now=now),
                whole=summarize(tries),
                timeline=count_over_time(tries, width),
                timeline_ms=width,
            )

        return await asyncio.to_thread(compute)

    async def _read(self, found: RunnableVersion, since: int, who: Principal) -> tuple[int, list[AttemptStats]]:
        """Return the number of the requests that `who` may see, and the attempts of the newest of them."""
        key, most = found.key, self._max_requests
        versions = await self._prompts.visible_versions(key, who)
        where = PromptRequests(key, since, versions, edited=versions is None)
        total, tries = await self._store.attempts(where, limit=most)
        tried = {one.version for one in tries}
        saved = tried - {0}
        if not (hidden := saved - await self._prompts.visible_among(key, saved, who)):
            return total, tries
        newest = max(tried | {found.number})
        return await self._store.attempts(replace(where, versions=frozenset(range(newest + 1)) - hidden), limit=most)

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


def _timeline_width(tries: Sequence[AttemptStats], now: int, longest: int) -> int:
    """Return the shortest period (ms) that splits the time since the first attempt into few enough parts."""
    since = now - tries[0].at if tries else 0
    return next((width for width in TIMELINE_WIDTHS if since <= MAX_TIMELINE * width < MAX_TIMELINE * longest), longest)
