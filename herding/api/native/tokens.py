"""Access tokens."""

from __future__ import annotations

from fastapi import APIRouter, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native import responses
from herding.api.native.requests import TokenBody
from herding.orchestrator import Orchestrator
from herding.store import now_ms

DAY_MS = 24 * 3600 * 1000


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of tokens."""
    routes = APIRouter(prefix="/api/v1/tokens", tags=["access"])
    accounts = orchestrator.accounts

    @routes.get("", responses=examples.answers({"tokens": [examples.TOKEN]}))
    async def tokens(who: Caller) -> Response:
        """Your own tokens, or everybody's with the right to administer; never their secrets."""
        return reply({"tokens": [responses.token(token) for token in await accounts.tokens(who)]})

    @routes.post("", status_code=201, responses=examples.answers(examples.MADE_TOKEN, status=201))
    async def create(body: TokenBody, who: Caller) -> Response:
        """Make a token; its text is in this answer and nowhere else. It can do no more than you can."""
        ends = None if body.expires_in_days is None else now_ms() + round(body.expires_in_days * DAY_MS)
        token, text = await accounts.create_token(body.user or who.id, body.name, who, role=body.role, expires_at=ends)
        return reply({"token": text, **responses.token(token)}, 201)

    @routes.delete("/{token_id}", responses=examples.answers({"id": "4pWm2QzT8sXc", "revoked": True}))
    async def revoke(token_id: str, who: Caller) -> Response:
        """End a token, with whatever still runs under it, within seconds."""
        await accounts.revoke(token_id, who)
        return reply({"id": token_id, "revoked": True})

    @routes.post("/{token_id}/rotate", status_code=201, responses=examples.answers(examples.MADE_TOKEN, status=201))
    async def rotate(token_id: str, who: Caller) -> Response:
        """Make a token in the place of another, which goes on working for 24 hours."""
        token, text = await accounts.rotate(token_id, who)
        return reply({"token": text, **responses.token(token)}, 201)

    return routes
