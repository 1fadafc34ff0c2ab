"""Routes for whoever keeps the app running."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from herding import __version__
from herding.orchestrator import Orchestrator


def router(orchestrator: Orchestrator) -> APIRouter:
    """`/healthz`: the app listens. `/readyz`: a request can be served now."""
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

    return routes
