"""Your own drafts of prompts as data: what the editor keeps while you type.

Keys have slashes, so these routes stand before the ones that take whatever follows as a key.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native.requests import DraftBody
from herding.api.native.responses import instant
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.studio.drafts import PromptDraft

PLACE = "/api/v1/prompts/{key:path}/draft"


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of drafts."""
    routes = APIRouter(tags=["prompts"])
    drafts = orchestrator.drafts

    @routes.get("/api/v1/drafts", responses=examples.answers({"drafts": [examples.KEPT]}))
    async def mine(who: Caller) -> Response:
        """All drafts of yours, the one that changed last first."""
        return reply({"drafts": [_kept(kept) for kept in await drafts.list_all(who)]})

    @routes.get(PLACE, summary="Get Draft", responses=examples.answers(examples.KEPT))
    async def draft(key: str, who: Caller) -> Response:
        """Your draft of a prompt, as you left it in the editor or put it here; 404 where there is none."""
        kept = await drafts.get(key, who)
        if kept is None:
            raise NotFoundError(f"You have no draft of '{key}'.", param="key")
        return reply(_kept(kept))

    @routes.put(PLACE, summary="Keep Draft", responses=examples.answers(examples.KEPT))
    async def keep(key: str, body: DraftBody, who: Caller) -> Response:
        """Keep a draft of a prompt, in the place of the one before, whose text can be gone back to in the editor.

        An edited `template` takes the right `edit`, and a `whole` prompt, or a key that is not there yet, `save`.
        """
        return reply(_kept(await drafts.store(key, body.value(), who, base=body.base)))

    @routes.delete(PLACE, summary="Discard Draft", status_code=204, responses=examples.refusals())
    async def discard(key: str, who: Caller) -> Response:
        """Discard your draft of a prompt with its earlier texts; it need not be there."""
        await drafts.discard(key, who)
        return Response(status_code=204)

    return routes


def _kept(kept: PromptDraft) -> dict[str, Any]:
    return {"key": kept.key, **asdict(kept.edits), "base": kept.base, "updated_at": instant(kept.updated_at)}
