"""The herd: nodes, their models, and switching between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.disconnect import while_there
from herding.api.http.reply import reply
from herding.api.http.sse import EventStreamResponse, event, events_of
from herding.api.native import responses
from herding.api.native.requests import ModelBody
from herding.orchestrator import Orchestrator
from herding.values import LoadProgress, ModelStats


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of nodes and models."""
    routes = APIRouter(prefix="/api/v1", tags=["nodes"])

    @routes.get("/nodes", responses=examples.answers({"nodes": [examples.NODE]}))
    async def nodes(who: Caller) -> Response:
        """The nodes that you may use, at this moment, and what they did in the last 24 hours."""
        return reply({"nodes": [responses.node(info) for info in await orchestrator.nodes.list_all(who)]})

    @routes.get("/nodes/events", responses=examples.answers({"events": [examples.NODE_EVENT]}))
    async def node_events(who: Caller) -> Response:
        """What happened to the nodes since the app started, the newest first: ejected, recovered, switched ..."""
        return reply({"events": [responses.node_event(event) for event in await orchestrator.nodes.events(who)]})

    @routes.post("/nodes/{node}/mend", responses=examples.answers({"node": "local", "mended": True}))
    async def mend(node: str, who: Caller) -> Response:
        """Say that a node was mended (its key, its address, its program): it is tried again at once."""
        await orchestrator.nodes.retry(node, who)
        return reply({"node": node, "mended": True})

    @routes.post("/nodes/{node}/model", responses=examples.answers(examples.NODE, events=examples.PROGRESS))
    async def switch(node: str, body: ModelBody, request: Request, who: Caller) -> Response:
        """Switch a node to another model: events `progress`, or without `stream` the node when it is done.

        The switch goes on when you leave.
        """
        steps = orchestrator.nodes.switch_model(node, body.model, who)
        if body.stream:
            return EventStreamResponse(events_of(steps, lambda step: event("progress", asdict(step))))
        await while_there(request.receive, _last(steps))
        switched = next(info for info in await orchestrator.nodes.list_all(who) if info.name == node)
        return reply(responses.node(switched))

    @routes.get("/models", responses=examples.answers({"models": [examples.MODEL]}))
    async def all_models(who: Caller) -> Response:
        """Every model with its nodes, the prompts that target it, and what it did in the last 24 hours.

        `nodes` answer with it, `embeds` make embeddings with it, `offered_by` can be switched to it. `stats` count the
        tries of it on all prompts and in chats; its `share` is the part of all tries of all models, and rates are null
        without any. The chance that it answers a certain prompt next is in the insights of that prompt.
        """
        models, stats = await orchestrator.nodes.models(who), await orchestrator.insights.models(who)
        shown = [asdict(model) | {"stats": asdict(stats.get(model.id, ModelStats()))} for model in models]
        return reply({"models": shown})

    return routes


async def _last(steps: AsyncIterator[LoadProgress]) -> None:
    async for _ in steps:
        pass
