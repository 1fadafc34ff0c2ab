"""Stars and comments on requests, and which of two is better."""

from __future__ import annotations

from fastapi import APIRouter, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native import responses
from herding.api.native.requests import FeedbackBody, PreferenceBody, ScoreBody
from herding.orchestrator import Orchestrator


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of feedback."""
    routes = APIRouter(prefix="/api/v1", tags=["feedback"])

    @routes.post("/score", responses=examples.answers(examples.SCORED))
    async def score(body: ScoreBody, who: Caller) -> Response:
        """Give a request 1 to 5 stars; null takes them back."""
        return reply(responses.score(await orchestrator.feedback.rate(body.id, body.score, who)))

    @routes.post("/feedback", responses=examples.answers(examples.SCORED))
    async def feedback(body: FeedbackBody, who: Caller) -> Response:
        """Say something about a request; an empty text takes it back."""
        return reply(responses.score(await orchestrator.feedback.comment(body.id, body.text, who)))

    @routes.post("/preference", responses=examples.answers(examples.PREFERENCE))
    async def preference(body: PreferenceBody, who: Caller) -> Response:
        """Say which of two answers is better, or that they are equal; a verdict of null takes back what you said.

        You have one verdict on two requests, in whichever order you name them; a new one replaces it.
        """
        if body.verdict is None:
            await orchestrator.feedback.remove_preference(body.better, body.worse, who)
        else:
            await orchestrator.feedback.prefer(body.better, body.worse, who, equal=body.verdict == "equal")
        return reply(body.model_dump())

    return routes
