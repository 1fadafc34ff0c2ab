"""Every route is under a rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from herding.access.operations import PATHS

PUBLIC = {"/healthz", "/readyz", "/login", "/logout"}
NO_ROUTE = {"/api", "/api/{path}", "/v1", "/v1/{path}"}
"""Where everything is answered that does not exist."""
PARTS = {"/docs/{file}": "/docs", "/v1/models/": "/v1/models"}
"""Paths under the rule of another."""
PROTOCOL = {"/mcp", "/mcp/"}
"""The Model Context Protocol: the services behind it check each of its messages (tests/mcp)."""
TEST_ONLY = {"/echo", "/json", "/bug"}


def paths(app: FastAPI) -> set[str]:
    return {str(route.path_format) for route in iter_route_contexts(app.routes)}


async def test_every_route_is_public_or_under_a_rule(app: FastAPI) -> None:
    unruled = paths(app) - TEST_ONLY - PATHS.keys()
    known = PUBLIC | NO_ROUTE | PROTOCOL | PARTS.keys()
    assert not unruled - known, f"add {sorted(unruled - known)} with its operation to PATHS in access/operations.py"
    assert unruled == known
    assert set(PARTS.values()) <= PATHS.keys()


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The operations of an OpenAPI description with their methods and paths."""
    for path, found in described["paths"].items():
        for method, operation in found.items():
            yield f"{method} {path}", operation


def has_properties(schema: dict[str, Any], described: dict[str, Any]) -> bool:
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    forms = schema.get("anyOf", [])
    return bool(schema.get("properties")) or (bool(forms) and all(has_properties(form, described) for form in forms))


async def test_every_operation_is_described_in_words_and_by_its_own_id(described: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(described)]
    assert len(ids) == len(set(ids)) > 60
    for name, operation in operations(described):
        assert operation["tags"], name
        assert operation["summary"], name
        assert operation["description"], name
        assert re.fullmatch("[a-z]+(_[a-z]+)+", operation["operationId"]), name


async def test_every_response_in_json_has_a_schema_with_properties(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        successes = {status: found for status, found in operation["responses"].items() if status.startswith("2")}
        assert successes, name
        for status, response in successes.items():
            assert (status == "204") == (not response.get("content")), name
            for kind, content in response.get("content", {}).items():
                is_described = kind != "application/json" or has_properties(content["schema"], described)
                assert is_described, f"{name}: return a subclass of ResponseModel, or a value with fields"


async def test_every_request_in_json_has_a_schema_with_properties_and_an_example(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            assert has_properties(content["application/json"]["schema"], described), name
            schema = described["components"]["schemas"][
                content["application/json"]["schema"]["$ref"].rpartition("/")[2]
            ]
            assert schema.get("examples"), f"{name}: give its request model an example that fits in model_config"


async def test_every_operation_has_examples_of_its_errors(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        if name.partition(" ")[2] in PUBLIC:
            continue
        errors = {status: found for status, found in operation["responses"].items() if status[0] in "45"}
        assert {"401", "4XX", "5XX"} <= errors.keys(), name
        for status, response in errors.items():
            content = response["content"]["application/json"]
            assert status.endswith("XX") or content["example"]["error"]["message"], name


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
