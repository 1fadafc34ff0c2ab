"""The history in pages, and one request of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native import responses
from herding.api.native.filters import Where
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.serving.history import MAX_PAGE

MAX_OFFSET = 2**31


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of the history."""
    routes = APIRouter(prefix="/api/v1/history", tags=["history"])

    @routes.get("", responses=examples.answers(examples.HISTORY))
    async def history(
        where: Where,
        who: Caller,
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 25,
    ) -> Response:
        """Requests, newest first: everybody's with the right to see them, else your own."""
        page = await orchestrator.history.page(where, who, offset=offset, limit=limit)
        entries = [responses.entry(entry) for entry in page.entries]
        return reply({"entries": entries, "total": page.total, "offset": offset, "limit": limit})

    @routes.get("/{request_id}", responses=examples.answers(examples.ENTRY))
    async def one(request_id: str, who: Caller) -> Response:
        """One request."""
        return reply(responses.entry(await orchestrator.history.entry(request_id, who)))

    @routes.delete("", responses=examples.answers({"forgotten": 12}))
    async def forget_all(who: Caller) -> Response:
        """Delete the texts of all your own requests: variables, input, answer, comments. Counts and stars stay.

        Your drafts of prompts go as well.
        """
        return reply({"forgotten": await orchestrator.accounts.forget(None, who)})

    @routes.delete("/{request_id}", responses=examples.answers({"forgotten": 1}))
    async def forget(request_id: str, who: Caller) -> Response:
        """Delete the texts of one of your own requests."""
        forgotten = await orchestrator.accounts.forget([request_id], who)
        if not forgotten:
            raise NotFoundError("There is no such request of yours.", param="request_id")
        return reply({"forgotten": forgotten})

    return routes
