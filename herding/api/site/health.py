"""Health and metrics for operators."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field

from herding import __version__
from herding.api.http.models import ResponseModel
from herding.api.http.request import Caller
from herding.api.http.response import json_response
from herding.orchestrator import Orchestrator
from herding.serving.metrics import CONTENT_TYPE


class HealthResponse(ResponseModel):
    """The app listens. `bots` are the states of its bots by name, empty without any."""

    status: Literal["ok"] = "ok"
    version: str = __version__
    bots: dict[str, str] = Field(default_factory=dict)


class ReadyResponse(ResponseModel):
    """A request can be served."""

    status: Literal["ready"] = "ready"


class WaitingResponse(ResponseModel):
    """No request can be served yet, for a `reason`."""

    status: Literal["waiting"] = "waiting"
    reason: str


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of operations."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/healthz")
    async def check_health() -> HealthResponse:
        """Return that the app listens, and the states of its bots."""
        return HealthResponse(bots=orchestrator.bots())

    @routes.get(
        "/readyz",
        response_model=ReadyResponse,
        responses={503: {"model": WaitingResponse, "description": "Not ready"}},
    )
    async def check_readiness() -> ReadyResponse | Response:
        """Return whether a request can be served now: the database answers, and a node serves a model."""
        missing = await orchestrator.ready()
        if missing is None:
            return ReadyResponse()
        return json_response(WaitingResponse(reason=missing), 503)

    @routes.head("/healthz", include_in_schema=False)
    async def head_health() -> Response:
        """Return that the app listens, without a body."""
        return Response()

    @routes.head("/readyz", include_in_schema=False)
    async def head_readiness() -> Response:
        """Return whether a request can be served now, without a body."""
        return Response(status_code=200 if await orchestrator.ready() is None else 503)

    @routes.get("/metrics", include_in_schema=False)
    async def get_metrics(who: Caller) -> Response:
        """Return the metrics in the text format of Prometheus."""
        return Response(await orchestrator.metrics(who), media_type=CONTENT_TYPE)

    return routes
