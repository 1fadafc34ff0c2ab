"""Paths of the APIs that do not exist, answered in the shape of the API and not with the page of the UI."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.routing import BaseRoute, Match

from herding.api.http.errors import Problem

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def router() -> APIRouter:
    """Routes for everything else at and below `/api` and `/v1`; the last to be included."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/v1", methods=_METHODS)
    @routes.api_route("/api", methods=_METHODS)
    @routes.api_route("/api/{path:path}", methods=_METHODS)
    @routes.api_route("/v1/{path:path}", methods=_METHODS)
    async def unknown(request: Request) -> Response:
        asked = f"{request.method} {request.scope['path']}"
        if any(_other_method(route, request) for route in request.app.routes):
            return Problem(405, "invalid_request", f"There is no {asked}; this path has other methods.").answer(request)
        return Problem(404, "not_found", f"There is no {asked}. See /docs for what there is.").answer(request)

    return routes


def _other_method(route: BaseRoute, request: Request) -> bool:
    return route.matches(request.scope)[0] is Match.PARTIAL
