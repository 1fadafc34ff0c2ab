"""Insights as data: how the versions of a prompt did on each model, and who will answer next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native.responses import instant
from herding.evaluation.insights import PromptInsights
from herding.orchestrator import Orchestrator
from herding.values import Reset

Days = Annotated[int, Query(description="how far to look back: 7, 30 or 90")]

PLACE = "/api/v1/insights/{prompt:path}"


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of the insights."""
    routes, insights = APIRouter(tags=["insights"]), orchestrator.insights

    @routes.post(f"{PLACE}/reset", responses=examples.answers(examples.RESET))
    async def reset(prompt: str, who: Caller) -> Response:
        """Begin anew: what was learned of the models on this prompt until now counts no more for who answers it.

        Requests and stars stay in the history. It takes the right `publish`.
        """
        return reply(_reset(await insights.reset(prompt, who)))

    @routes.get(PLACE, responses=examples.answers(examples.INSIGHTS))
    async def look(prompt: str, who: Caller, days: Days = 30) -> Response:
        """How each version of a prompt did on each model, and the chance of each model to be chosen next.

        `requests` are tries of the model, `errors` those that failed. Rates are 0 to 1: check failures among answers
        with checks. `low` and `high` are the 95 % interval of the mean stars (normal, never narrower than a
        spread of 0.5 stars gives). Times (nearest rank) are of tries that answered, tokens the means of their requests.
        `share` is the chance to be chosen next, `quality` what a request is expected to be worth (0 to 1); `why` is
        what the policy goes by: the last 1,000 tries since the last reset. null where nothing is behind a figure. Of
        `total` requests in the span the newest `read` are counted.
        """
        return reply(_insights(await insights.look(prompt, who, days=days)))

    return routes


def _insights(found: PromptInsights) -> dict[str, Any]:
    data = asdict(found)
    buckets = [bucket | {"at": instant(bucket["at"])} for bucket in data["buckets"]]
    times = {"since": instant(found.since), "until": instant(found.until), "buckets": buckets}
    return data | times | {"reset": _reset(found.reset) if found.reset else None}


def _reset(reset: Reset) -> dict[str, Any]:
    return asdict(reset) | {"at": instant(reset.at)}
