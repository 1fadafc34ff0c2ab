"""Routes for whoever keeps the app running."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from herding import __version__
from herding.api.http.deps import Caller
from herding.orchestrator import Orchestrator
from herding.serving.metrics import CONTENT_TYPE


def router(orchestrator: Orchestrator) -> APIRouter:
    """`/healthz`: the app listens. `/readyz`: a request can be served now. `/metrics`: how it goes."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        missing = await orchestrator.ready()
        if missing:
            return JSONResponse({"status": "waiting", "reason": missing}, status_code=503)
        return JSONResponse({"status": "ready"})

    @routes.get("/metrics", include_in_schema=False)
    async def metrics(who: Caller) -> Response:
        return Response(await orchestrator.metrics(who), media_type=CONTENT_TYPE)

    return routes
