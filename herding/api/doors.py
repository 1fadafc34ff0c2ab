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
from herding.gatehouse import Gatehouse
from herding.orchestrator import Orchestrator


def install(app: FastAPI, orchestrator: Orchestrator, gatehouse: Gatehouse) -> None:
    """Open the front doors of `app`; those that are used most come first, the one for unknown paths last."""
    for room in (
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
    ):
        app.include_router(room.router(orchestrator))
    app.include_router(login.router(gatehouse))
    app.include_router(docs.router(app))
    app.include_router(unknown.router())
    errors.install(app)
