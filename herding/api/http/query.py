"""Refusal of query parameters that an operation does not have: a misspelt filter must not match everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from herding.errors import UserError


class QueryCheck:
    """A dependency of all operations that refuses a query parameter which the operation does not have."""

    def __init__(self) -> None:
        self._known: dict[Callable[..., Any], frozenset[str] | None] = {}

    async def __call__(self, request: Request) -> None:
        """Raise UserError for the first query parameter that is unknown."""
        if request.scope["query_string"]:
            self._check(request, request.scope["route"])

    def before(self, route: APIRoute) -> ASGIApp:
        """Return the app of a route with the check before it, which costs less than a dependency."""
        app = route.app

        def checked(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["query_string"]:
                self._check(Request(scope), route)
            return app(scope, receive, send)

        return checked

    def _check(self, request: Request, route: APIRoute) -> None:
        if route.endpoint not in self._known:
            self._known[route.endpoint] = _parameters(route)
        known = self._known[route.endpoint]
        unknown = None if known is None else next((name for name in request.query_params if name not in known), None)
        if known is not None and unknown is not None:
            names = ", ".join(sorted(known)) or "none"
            raise UserError(f"There is no query parameter '{unknown}' here. Parameters: {names}.", param=unknown)


def _parameters(route: APIRoute) -> frozenset[str] | None:
    """Return the names of the query parameters of an operation; None if they are free, such as variables."""
    described = (route.openapi_extra or {}).get("parameters", ())
    if any(parameter["in"] == "query" and parameter.get("explode") for parameter in described):
        return None
    fields = get_flat_params(route.dependant)
    return frozenset(field.alias for field in fields if isinstance(field.field_info, params.Query))
