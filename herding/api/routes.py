"""All routes, in their order."""

from __future__ import annotations

from fastapi import FastAPI

from herding.api.http import errors
from herding.api.legacy import chat, registry
from herding.api.middleware.json_route import JsonRoute, Routes
from herding.api.native import (
    drafts,
    exports,
    feedback,
    history,
    infer,
    insights,
    me,
    node_admin,
    nodes,
    prompts,
    tokens,
    users,
    versions,
)
from herding.api.openai import routes
from herding.api.site import docs, health, login, not_found
from herding.orchestrator import Orchestrator
from herding.people.authenticator import Authenticator


def install(app: FastAPI, orchestrator: Orchestrator, authenticator: Authenticator) -> Routes:
    """Open the front doors of `app`; those that are used most come first, the one for unknown paths last.

    Returns the routes that `Shortcut` may go straight to.
    """
    rooms = (
        infer,
        routes,
        chat,
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
        health,
    )
    routers = [room.router(orchestrator) for room in rooms]
    for router in routers:
        app.include_router(router)
    app.include_router(login.router(authenticator))
    app.include_router(docs.router(app))
    app.include_router(not_found.router())
    errors.install(app)
    busy = [route for router in routers for route in router.routes if isinstance(route, JsonRoute)]
    return {(method, route.path): route for route in busy for method in route.methods or ()}
