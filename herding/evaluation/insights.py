"""Insights into a prompt: how its versions did on each model, who will answer next and why, and a new beginning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from herding.access.operations import INSIGHTS, MODELS, PUBLISH
from herding.access.roles import require
from herding.errors import UserError
from herding.evaluation.learning import Learning, settings
from herding.evaluation.version_matrix import Bucket, Cell, matrix, over_time
from herding.herd.fleet import Fleet
from herding.prompts.model import Prompt
from herding.routing.policies import LEAST_BUSY, RoutingSettings, insights
from herding.store.statistics import StatisticsStore
from herding.studio.catalog import PromptCatalog
from herding.studio.version_cache import RunnableVersion
from herding.values import AttemptStats, ModelStats, Principal, Reset

MOST = 20_000
"""Requests of a prompt that are looked at, the newest."""

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SPANS = {7: 12 * HOUR_MS, 30: DAY_MS, 90: 3 * DAY_MS}
"""The days that one can look back upon, with the width of the buckets of time that they are divided into."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A model and the next request: the chance that it gets it, what is expected of it (0-1), and why.

    `against` says why it cannot be chosen now; `share` is 0 then. `share` is None where it hangs on who is busy.
    """

    model: str
    share: float | None
    quality: float
    why: str
    against: str | None = None


@dataclass(frozen=True, slots=True)
class PromptInsights:
    """What is known of a prompt. `version` is the one that is served; `since` is in Unix ms, as all instants.

    `total` requests ended in the span, of which the newest `read` are in the figures.
    """

    prompt: str
    version: int
    days: int
    since: int
    until: int
    routing: RoutingSettings
    cells: tuple[Cell, ...]
    models: tuple[Outlook, ...]
    buckets: tuple[Bucket, ...]
    bucket_ms: int
    total: int
    read: int
    reset: Reset | None


class Insights:
    """Tells how models did, from the store, and what the policies make of it.

    Every method takes the principal who asks and raises AccessError where their role does not allow it.
    """

    def __init__(
        self,
        *,
        store: StatisticsStore,
        learning: Learning,
        fleet: Fleet,
        prompts: PromptCatalog,
        clock: Callable[[], int],
        most: int = MOST,
    ) -> None:
        self._store, self._learning, self._fleet = store, learning, fleet
        self._prompts, self._clock, self._most = prompts, clock, most

    async def look(self, prompt: str, who: Principal, *, days: int = 30) -> PromptInsights:
        """All about one prompt by its key, over the last `days` (one of SPANS). NotFoundError where there is none.

        The figures are those of everybody's requests; texts of them are not looked at.
        """
        require(who, INSIGHTS)
        if days not in SPANS:
            raise UserError(f"Choose how far to look back: {', '.join(map(str, SPANS))} days.", param="days")
        found = await self._prompts.resolve(prompt.partition("@")[0], who)
        now = self._clock()
        since = now - days * DAY_MS
        total, tries = await self._store.attempts(found.key, since=since, limit=self._most)
        outlook = self._outlook(found, who)
        served = {model.model: model.share for model in outlook}
        cells, buckets = await asyncio.to_thread(_figures, tries, SPANS[days], found.number, served)
        return PromptInsights(
            prompt=found.key,
            version=found.number,
            days=days,
            since=since,
            until=now,
            routing=settings(found.prompt),
            cells=cells,
            models=outlook,
            buckets=buckets,
            bucket_ms=SPANS[days],
            total=total,
            read=min(total, self._most),
            reset=(await self._store.learning_resets()).get(found.key),
        )

    async def reset(self, prompt: str, who: Principal) -> Reset:
        """From now on, what came before counts no more for who answers a prompt; durable on return.

        Requests and stars stay in the history, and in the figures here.
        """
        require(who, INSIGHTS)
        require(who, PUBLISH)
        found = await self._prompts.resolve(prompt.partition("@")[0], who)
        reset = Reset(found.key, self._clock(), who.id)
        await self._learning.reset(reset)
        return reset

    async def models(self, who: Principal) -> Mapping[str, ModelStats]:
        """What every model did in the last 24 hours, on all prompts and in chats, by its id."""
        require(who, MODELS)
        return await self._store.model_stats(since=self._clock() - DAY_MS)

    def _outlook(self, found: RunnableVersion, who: Principal) -> tuple[Outlook, ...]:
        """The target models, in the prompt's order."""
        prompt, said = found.prompt, settings(found.prompt)
        against = {model: self._against(model, prompt, who) for model in prompt.target_models}
        able = [model for model, reason in against.items() if reason is None]
        known = self._learning.policies, self._learning.record, found.key
        lines = {line.model: line for models in (list(against), able) for line in insights(*known, models, said)}
        open_yet = said.policy == LEAST_BUSY and len(able) > 1
        shares = {model: None if open_yet else lines[model].share for model in able}
        return tuple(
            Outlook(model, shares.get(model, 0.0), lines[model].quality, lines[model].why, reason)
            for model, reason in against.items()
        )

    def _against(self, model: str, prompt: Prompt, who: Principal) -> str | None:
        """Why a model cannot be chosen now, None where it can: it may be that all its places are taken."""
        pinned = prompt.routing.pinned if prompt.routing else None
        if pinned not in (None, model):
            return f"this prompt is pinned to {pinned}"
        names = [node.name for node in self._fleet.usable(who) if model in node.serves]
        if not names:
            return "no node serves it now"
        if any(self._fleet.takes(name) and self._fleet.health.allows(name) for name in names):
            return None
        return "; ".join(f"{name} is {self._state(name)}" for name in names)

    def _state(self, name: str) -> str:
        """How a node is that takes no call."""
        return self._fleet.health.status(name).state if self._fleet.takes(name) else "draining"


def _figures(
    tries: Sequence[AttemptStats], width: int, version: int, shares: Mapping[str, float | None]
) -> tuple[tuple[Cell, ...], tuple[Bucket, ...]]:
    return matrix(tries, version, shares), over_time(tries, width)
