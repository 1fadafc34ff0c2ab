"""Every route is under a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from herding.access.operations import PATHS
from herding.api.site.docs import describe

PUBLIC = {"/healthz", "/readyz", "/login", "/logout"}
NO_ROUTE = {"/api", "/api/{path}", "/v1", "/v1/{path}"}
"""Where everything is answered that does not exist."""
PARTS = {"/docs/{file}": "/docs"}
"""Paths under the rule of another."""
TEST_ONLY = {"/echo", "/json", "/bug"}


def paths(app: FastAPI) -> set[str]:
    return {str(route.path_format) for route in iter_route_contexts(app.routes)}


async def test_every_route_is_public_or_under_a_rule(app: FastAPI) -> None:
    found = paths(app) - TEST_ONLY
    assert found - PATHS.keys() == PUBLIC | NO_ROUTE | PARTS.keys()
    assert set(PARTS.values()) <= PATHS.keys()


async def test_every_described_operation_has_a_summary_a_tag_and_an_example(app: FastAPI) -> None:
    for path, operations in describe(app)["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            assert operation["tags"], name
            assert operation["summary"], name
            assert path in PUBLIC or operation.get("description"), name
            if path.endswith((".csv", ".jsonl", "/yaml")) or path in PUBLIC:
                continue
            said = [answer for status, answer in operation["responses"].items() if status in ("200", "201")]
            assert said or "204" in operation["responses"], name
            assert all("example" in answer["content"]["application/json"] for answer in said), name


def calls(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """What a route calls: itself, and what it depends on."""
    if dependant.call:
        yield dependant.call
    for below in dependant.dependencies:
        yield from calls(below)


async def test_no_route_needs_a_thread(app: FastAPI) -> None:
    """The framework runs whatever is not async in one of a few threads."""
    routes = [route.original_route for route in iter_route_contexts(app.routes)]
    found = [call for route in routes if isinstance(route, APIRoute) for call in calls(route.dependant)]
    assert len(found) > 40
    assert [call for call in found if not iscoroutinefunction(call)] == []
