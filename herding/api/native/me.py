"""What callers may know and choose about themselves."""

from __future__ import annotations

from fastapi import APIRouter, Response

from herding.access.operations import USAGE
from herding.access.roles import require
from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native import responses
from herding.api.native.requests import MeBody
from herding.orchestrator import Orchestrator


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes about the caller."""
    routes = APIRouter(prefix="/api/v1", tags=["me"])
    accounts = orchestrator.accounts

    @routes.get("/me", responses=examples.answers(examples.ME))
    async def me(who: Caller) -> Response:
        """Who you are, and what you may do."""
        return reply(responses.principal(who, await accounts.me(who)))

    @routes.patch("/me", responses=examples.answers(examples.ME))
    async def change_me(body: MeBody, who: Caller) -> Response:
        """Choose whether nothing is kept of what you ask and get from now on; counts, times and stars are."""
        return reply(responses.principal(who, await accounts.opt_out(body.opt_out_history_content, who)))

    @routes.get("/usage", responses=examples.answers({"limits": [examples.USE]}))
    async def usage(who: Caller) -> Response:
        """Your limits, and how much of each is used now."""
        return reply({"limits": [responses.limit_use(use) for use in await accounts.usage(who)]})

    @routes.get("/allowed_tabs", responses=examples.answers({"tabs": ["engineer", "overview"]}))
    async def allowed_tabs(who: Caller) -> Response:
        """The tabs of the UI that your role shows."""
        require(who, USAGE)
        return reply({"tabs": who.tabs})

    return routes
