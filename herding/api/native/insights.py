"""Insights into a prompt: the results of its versions on each model, and the routing of the next request."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from herding.api.http.errors import error_responses
from herding.api.http.models import Instant, ResponseModel
from herding.api.http.request import Caller
from herding.errors import NotFoundError, UserError
from herding.evaluation.insights import RoutingPrediction
from herding.evaluation.version_matrix import NodeModelStats, VersionModelStats
from herding.orchestrator import Orchestrator
from herding.routing.policies import RoutingSettings

Days = Annotated[int, Query(description="the span to look at: 7, 30 or 90 days")]

_PROMPT = "/api/v1/insights/{prompt:path}"
_NO_PROMPT = NotFoundError("There is no prompt 'greetings'.", param="prompt")


class BucketResponse(ResponseModel):
    """The number of requests to a model in a span of time that begins at `at`."""

    at: Instant
    model: str
    requests: int


class ShareStepResponse(ResponseModel):
    """The probabilities of the models after some responses with their ratings; `at` is the last of these requests."""

    responses: int
    at: Instant
    shares: dict[str, float]


class ResetResponse(ResponseModel):
    """A reset of the routing data of a prompt."""

    prompt: str
    at: Instant
    by: str


class InsightsResponse(ResponseModel):
    """Statistics of a prompt over the last `days`. `version` is the live one.

    `cells` has the statistics of each version and model, `models` the routing of the next request, `buckets` the
    requests over time in spans of `bucket_ms`. `read` of `total` requests are counted, the newest. `nodes` has the
    statistics of each model on each node, `shares` how the probabilities of `models` moved with the evidence.
    """

    prompt: str
    version: int
    days: int
    since: Instant
    until: Instant
    routing: RoutingSettings
    cells: tuple[VersionModelStats, ...]
    models: tuple[RoutingPrediction, ...]
    buckets: tuple[BucketResponse, ...]
    bucket_ms: int
    total: int
    read: int
    reset: ResetResponse | None
    nodes: tuple[NodeModelStats, ...] = ()
    shares: tuple[ShareStepResponse, ...] = ()


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of insights."""
    routes, insights = APIRouter(tags=["insights"]), orchestrator.insights

    @routes.post(f"{_PROMPT}/reset", responses=error_responses(_NO_PROMPT))
    async def reset_routing_data(prompt: str, who: Caller) -> ResetResponse:
        """Reset the routing data of a prompt: earlier results no longer decide which model is chosen.

        Requests and stars stay in the history. Needs the right `publish`.
        """
        return ResetResponse.model_validate(await insights.reset(prompt, who))

    @routes.get(_PROMPT, responses=error_responses(_NO_PROMPT, UserError("Choose 7, 30 or 90 days.", param="days")))
    async def get_insights(prompt: str, who: Caller, days: Days = 30) -> InsightsResponse:
        """Return the statistics of each version on each model, and the probability that a model is chosen next.

        `requests` are attempts on the model, `errors` those that failed. Rates are 0 to 1; that of failed checks is
        among responses of prompts that have checks. `low` and `high` are the 95 % interval of the mean stars. Times
        are of attempts that succeeded, tokens the means of their requests. `share` is the probability to be chosen
        next, `quality` the expected value of a request (0 to 1), `why` the evidence: the last 1,000 attempts since
        the last reset. A value is null without data. Only versions and nodes that the caller may use are counted.
        """
        return InsightsResponse.model_validate(await insights.get(prompt, who, days=days))

    return routes
