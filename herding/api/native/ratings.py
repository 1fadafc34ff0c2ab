"""Stars, comments and preferences on requests."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field, StrictInt, model_validator
from pydantic.json_schema import SkipJsonSchema

from herding.api.http.errors import error_responses
from herding.api.http.models import RequestModel, ResponseModel
from herding.api.http.request import Caller
from herding.api.http.response import json_response
from herding.errors import NotFoundError, UserError
from herding.orchestrator import Orchestrator

_ID = "0b9c5ac1d5e84a5f9e6f2f4f4be4b0f6"
_NO_REQUEST = NotFoundError("Request not found.", param="request_id")


class _RatedRequest(RequestModel):
    """A request by its id. Older clients name it `inference_id`."""

    request_id: str = ""
    inference_id: SkipJsonSchema[str] = ""

    @model_validator(mode="after")
    def _check_id(self) -> _RatedRequest:
        if bool(self.request_id) == bool(self.inference_id):
            raise ValueError("name a request under `request_id`")
        return self

    @property
    def id(self) -> str:
        """The id of the request."""
        return self.request_id or self.inference_id


class ScoreRequest(_RatedRequest):
    """Stars for a request; null removes them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"request_id": _ID, "score": 5}]})

    score: StrictInt | None = Field(description="1 to 5, or null")


class CommentRequest(_RatedRequest):
    """A comment on a request; an empty text removes it. Older clients name it `feedback`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"request_id": _ID, "comment": "Found both names."}]})

    comment: str | None = None
    feedback: SkipJsonSchema[str | None] = None

    @model_validator(mode="after")
    def _check_text(self) -> CommentRequest:
        if (self.comment is None) == (self.feedback is None):
            raise ValueError("send a text under `comment`")
        return self

    @property
    def text(self) -> str:
        """The text of the comment."""
        return self.comment or self.feedback or ""


class PreferenceRequest(RequestModel):
    """The better of two responses. The verdict `equal` means that neither is, and null removes your verdict."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"better": _ID, "worse": "1c0d6bd2e6f95b6fae7f30505cf5c107", "verdict": "better"}]
        }
    )

    better: str = Field(min_length=1, max_length=100, description="the id of a request")
    worse: str = Field(min_length=1, max_length=100, description="the id of another request")
    verdict: Literal["better", "equal"] | None = "better"


class RatingResponse(ResponseModel):
    """Your stars and your comment on a request."""

    request_id: str
    score: int | None = Field(validation_alias="stars")
    comment: str | None


class PreferenceResponse(ResponseModel):
    """Your verdict on two responses."""

    better: str
    worse: str
    verdict: Literal["better", "equal"] | None


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of ratings."""
    routes = APIRouter(prefix="/api/v1", tags=["feedback"])

    @routes.post(
        "/score",
        response_model=RatingResponse,
        responses=error_responses(_NO_REQUEST, UserError("A score is 1, 2, 3, 4 or 5 stars.", param="score")),
    )
    async def rate_request(body: ScoreRequest, request: Request, who: Caller) -> Response:
        """Give a request 1 to 5 stars; null removes them."""
        score = await orchestrator.feedback.rate(body.id, body.score, who, shown=request.state.for_discord)
        return json_response(RatingResponse.model_validate(score))

    @routes.post(
        "/feedback",
        response_model=RatingResponse,
        responses=error_responses(_NO_REQUEST, UserError("A comment has at most 10,000 characters.", param="comment")),
    )
    async def comment_on_request(body: CommentRequest, request: Request, who: Caller) -> Response:
        """Comment on a request; an empty text removes the comment."""
        score = await orchestrator.feedback.comment(body.id, body.text, who, shown=request.state.for_discord)
        return json_response(RatingResponse.model_validate(score))

    @routes.post("/preference", response_model=PreferenceResponse, responses=error_responses(_NO_REQUEST))
    async def compare_requests(body: PreferenceRequest, who: Caller) -> Response:
        """Say which of two responses is better, or that they are equal; the verdict null removes yours.

        You have one verdict on two requests, in either order. A new one replaces it.
        """
        if body.verdict is None:
            await orchestrator.feedback.remove_preference(body.better, body.worse, who)
        else:
            await orchestrator.feedback.prefer(body.better, body.worse, who, equal=body.verdict == "equal")
        return json_response(PreferenceResponse(better=body.better, worse=body.worse, verdict=body.verdict))

    return routes
