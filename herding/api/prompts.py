"""The prompts as data."""

from __future__ import annotations

from fastapi import APIRouter, Response

from herding.api import examples, shapes
from herding.api.caller import Caller
from herding.api.reply import reply
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of the prompts."""
    routes = APIRouter(prefix="/api/v1/prompts", tags=["prompts"])

    @routes.get("", responses=examples.answers({"prompts": [examples.PROMPT]}))
    async def prompts(who: Caller) -> Response:
        """All prompts that you may use."""
        return reply({"prompts": [shapes.prompt(info) for info in await orchestrator.prompts(who)]})

    @routes.get("/{key:path}", responses=examples.answers(examples.PROMPT))
    async def prompt(key: str, who: Caller) -> Response:
        """One prompt: its variables, its text, who serves it, how it did."""
        infos = await orchestrator.prompts(who)
        wanted = (await orchestrator.find(key, who)).key
        for info in infos:
            if info.key == wanted:
                return reply(shapes.prompt(info))
        raise NotFoundError(f"There is no prompt '{key}'.", param="prompt")

    return routes
