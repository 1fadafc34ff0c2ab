"""Stars and comments on requests."""

from __future__ import annotations

from fastapi import APIRouter, Response

from herding.api import examples, shapes
from herding.api.caller import Caller
from herding.api.reply import reply
from herding.api.schemas import FeedbackBody, ScoreBody
from herding.orchestrator import Orchestrator


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of feedback."""
    routes = APIRouter(prefix="/api/v1", tags=["feedback"])

    @routes.post("/score", responses=examples.answers(examples.SCORED))
    async def score(body: ScoreBody, who: Caller) -> Response:
        """Give a request 1 to 5 stars; null takes them back."""
        return reply(shapes.score(await orchestrator.rate(body.id, body.score, who)))

    @routes.post("/feedback", responses=examples.answers(examples.SCORED))
    async def feedback(body: FeedbackBody, who: Caller) -> Response:
        """Say something about a request; an empty text takes it back."""
        return reply(shapes.score(await orchestrator.comment(body.id, body.text, who)))

    return routes
