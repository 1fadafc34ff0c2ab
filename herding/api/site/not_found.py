"""Unknown paths: an error in the shape of the API, also outside of the APIs."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from herding.api.http.errors import Problem
from herding.api.http.request import route_path

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def router() -> APIRouter:
    """Return routes for all other paths at and below `/api` and `/v1`. They must be included last."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/v1", methods=_METHODS)
    @routes.api_route("/api", methods=_METHODS)
    @routes.api_route("/api/{path:path}", methods=_METHODS)
    @routes.api_route("/v1/{path:path}", methods=_METHODS)
    async def handle_unknown_path(request: Request) -> Response:
        other_method = any(_has_other_method(route, request) for route in request.app.routes)
        return _unknown(request, other_method=other_method).response(request)

    return routes


def answer_for_page(page: FastAPI, others: Sequence[BaseRoute]) -> None:
    """Answer paths and methods that neither the page nor the `others` have in the shape of the API."""

    @page.exception_handler(HTTPException)
    async def handle_http_error(request: Request, error: HTTPException) -> Response:
        other_method = error.status_code == 405 or any(_has_other_method(route, request) for route in others)
        unknown = request.scope.get("endpoint") is page or not route_path(request.scope).startswith("/gradio_api/")
        if other_method or (error.status_code == 404 and unknown):
            return _unknown(request, other_method=other_method).response(request)
        return await http_exception_handler(request, error)  # the page reads this form


def _unknown(request: Request, *, other_method: bool) -> Problem:
    asked = f"{request.method} {route_path(request.scope)}"
    if other_method:
        return Problem(405, "invalid_request", f"{asked} does not exist. This path has other methods.")
    return Problem(404, "not_found", f"{asked} does not exist. See /docs for all paths.")


def _has_other_method(route: BaseRoute, request: Request) -> bool:
    return route.matches(request.scope)[0] is Match.PARTIAL
