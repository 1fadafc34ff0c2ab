"""All routes, in their order."""

from __future__ import annotations

from fastapi import FastAPI

from herding.api import (
    docs,
    drafts,
    errors,
    exports,
    feedback,
    history,
    infer,
    insights,
    login,
    me,
    node_admin,
    nodes,
    openai,
    operations,
    prompts,
    registry,
    seed_chat,
    tokens,
    unknown,
    users,
    versions,
)
from herding.api.json_route import JsonRoute, Routes
from herding.gatehouse import Gatehouse
from herding.orchestrator import Orchestrator


def install(app: FastAPI, orchestrator: Orchestrator, gatehouse: Gatehouse) -> Routes:
    """Open the front doors of `app`; those that are used most come first, the one for unknown paths last.

    Returns the routes that `Shortcut` may go straight to.
    """
    rooms = (
        infer,
        openai,
        seed_chat,
        feedback,
        versions,
        drafts,
        prompts,
        history,
        exports,
        insights,
        nodes,
        node_admin,
        registry,
        me,
        tokens,
        users,
        operations,
    )
    routers = [room.router(orchestrator) for room in rooms]
    for router in routers:
        app.include_router(router)
    app.include_router(login.router(gatehouse))
    app.include_router(docs.router(app))
    app.include_router(unknown.router())
    errors.install(app)
    busy = [route for router in routers for route in router.routes if isinstance(route, JsonRoute)]
    return {(method, route.path): route for route in busy for method in route.methods or ()}
