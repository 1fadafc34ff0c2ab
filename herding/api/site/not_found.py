"""Unknown paths of the APIs: an error in the shape of the API instead of the page of the UI."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.routing import BaseRoute, Match

from herding.api.http.errors import Problem

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def router() -> APIRouter:
    """Return routes for all other paths at and below `/api` and `/v1`. They must be included last."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/v1", methods=_METHODS)
    @routes.api_route("/api", methods=_METHODS)
    @routes.api_route("/api/{path:path}", methods=_METHODS)
    @routes.api_route("/v1/{path:path}", methods=_METHODS)
    async def handle_unknown_path(request: Request) -> Response:
        asked = f"{request.method} {request.scope['path']}"
        if any(_has_other_method(route, request) for route in request.app.routes):
            return Problem(405, "invalid_request", f"{asked} does not exist. This path has other methods.").response(
                request
            )
        return Problem(404, "not_found", f"{asked} does not exist. See /docs for all paths.").response(request)

    return routes


def _has_other_method(route: BaseRoute, request: Request) -> bool:
    return route.matches(request.scope)[0] is Match.PARTIAL
