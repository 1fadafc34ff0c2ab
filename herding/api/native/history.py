"""The history: pages of requests, single requests, exports as files, and deletion of content."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from herding.api.http.errors import error_responses, file_response
from herding.api.http.models import Instant, ResponseModel, format_instant
from herding.api.http.request import Caller
from herding.api.http.request_filter import EMPTY_TO_NONE, RequestFilter
from herding.api.http.response import download_headers, json_response
from herding.api.native.exports import csv_lines, json_lines
from herding.api.native.infer import RunPromptResponse
from herding.errors import AccessError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.serving.history import MAX_PAGE
from herding.values import Entry, HistoryFilter, Kind, Score, Status, StepEntry, to_dollars

MAX_OFFSET = 2**31
_NO_REQUEST = NotFoundError("Request not found.", param="request_id")
_OTHERS = AccessError("The role 'user' sees only your own requests. Leave out 'user'.")
_PERIOD = UserError("'to' must be after 'from'.", param="to")


class RequestError(ResponseModel):
    """The error that ended a request."""

    type: str
    message: str | None


class RatingEntry(ResponseModel):
    """The stars and the comment of one user, and when they last changed."""

    user: str
    score: int | None
    comment: str | None
    updated_at: Instant

    @classmethod
    def from_score(cls, score: Score) -> RatingEntry:
        """Return a rating."""
        return cls(
            user=score.principal, score=score.stars, comment=score.comment, updated_at=format_instant(score.updated_at)
        )


class StepRequest(ResponseModel):
    """The request of a step of a chain. `cost` is in US dollars, null if it is unknown."""

    request_id: str
    step: str
    kind: Kind
    prompt: str
    version: int
    status: Status
    model: str | None
    node: str | None
    input_tokens: int
    output_tokens: int
    cost: float | None
    total_ms: float
    checks_passed: bool | None
    error: str | None

    @classmethod
    def from_step(cls, step: StepEntry) -> StepRequest:
        """Return the request of a step."""
        found = asdict(step) | {"cost": None if step.cost is None else to_dollars(step.cost)}
        return cls(**found | {"total_ms": round(step.total_ms, 3)})


class HistoryEntry(RunPromptResponse):
    """One request of the history. `score` and `comment` are yours, `ratings` those of all users.

    `children` are the requests of the steps of a chain. Such a request has the `parent` that is the chain's, and the
    name of its `step`.
    """

    status: Status
    error: RequestError | None
    created_at: Instant
    principal: str
    session_id: str | None
    edited: bool
    variables: dict[str, Any]
    parameters: dict[str, Any]
    input: str
    score: int | None
    comment: str | None
    kind: Kind
    token: str | None
    mean_score: float | None
    ratings: list[RatingEntry]
    parent: str | None
    step: str | None
    children: list[StepRequest] | None

    @classmethod
    def from_entry(cls, entry: Entry) -> HistoryEntry:
        """Return a row of the history."""
        outcome = entry.outcome
        return cls(
            **dict(RunPromptResponse.from_outcome(outcome)),
            status=outcome.status,
            error=RequestError(type=outcome.error_type, message=outcome.error) if outcome.error_type else None,
            created_at=format_instant(outcome.created_at),
            principal=outcome.principal,
            session_id=outcome.session_id,
            edited=outcome.edited,
            variables=dict(outcome.variables),
            parameters=outcome.parameters.given(),
            input=outcome.input,
            score=entry.stars,
            comment=entry.comment,
            kind=outcome.kind,
            token=outcome.token,
            mean_score=entry.mean_stars,
            ratings=[RatingEntry.from_score(rating) for rating in entry.ratings],
            parent=outcome.parent,
            step=outcome.step,
            children=[StepRequest.from_step(step) for step in entry.children] if outcome.kind == "chain" else None,
        )


class HistoryPage(ResponseModel):
    """Requests, newest first; `total` counts all that match the filter.

    With `more`, a search for a text left off counting: there may be more than `total`.
    """

    entries: list[HistoryEntry]
    total: int
    more: bool
    offset: int
    limit: int


class ForgetResponse(ResponseModel):
    """The number of requests whose content was deleted."""

    forgotten: int


async def history_filter(
    where: RequestFilter,
    *,
    version: Annotated[int | None, Query(ge=1, description="of the prompt"), EMPTY_TO_NONE] = None,
    stars: Annotated[int | None, Query(ge=0, le=5, description="given by any user; 0: unrated"), EMPTY_TO_NONE] = None,
    min_stars: Annotated[float | None, Query(ge=1, le=5, description="of the mean of all users"), EMPTY_TO_NONE] = None,
    max_stars: Annotated[float | None, Query(ge=1, le=5, description="of the mean of all users"), EMPTY_TO_NONE] = None,
    rated: Annotated[bool | None, Query(description="by any user"), EMPTY_TO_NONE] = None,
    commented: Annotated[bool | None, Query(description="by any user"), EMPTY_TO_NONE] = None,
    text: Annotated[
        str | None, Query(max_length=1000, description="in variables, input, response, error, comment")
    ] = None,
    parent: Annotated[str | None, Query(max_length=100, description="the request of a chain: finds its steps")] = None,
    steps: Annotated[bool | None, Query(description="false: without the steps of chains"), EMPTY_TO_NONE] = None,
) -> HistoryFilter:
    """Return the filter of a query string; an empty value matches all."""
    return replace(
        where,
        version=version,
        stars=stars,
        min_stars=min_stars,
        max_stars=max_stars,
        rated=rated,
        commented=commented,
        text=text or None,
        parent=parent or None,
        steps=steps,
    )


Filter = Annotated[HistoryFilter, Depends(history_filter)]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of the history."""
    routes = APIRouter(prefix="/api/v1", tags=["history"])
    accounts = orchestrator.accounts
    as_csv, as_jsonl = (file_response(kind, type="string") for kind in ("text/csv", "application/jsonl"))

    @routes.get("/history", response_model=HistoryPage, responses=error_responses(_OTHERS, _PERIOD))
    async def list_requests(
        where: Filter,
        who: Caller,
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 25,
    ) -> Response:
        """List requests, newest first: those of all users with the right `history_all`, else your own."""
        page = await orchestrator.history.page(where, who, offset=offset, limit=limit)
        entries = [HistoryEntry.from_entry(entry) for entry in page.entries]
        return json_response(HistoryPage(entries=entries, total=page.total, more=page.more, offset=offset, limit=limit))

    @routes.get("/history/{request_id}", response_model=HistoryEntry, responses=error_responses(_NO_REQUEST))
    async def get_request(request_id: str, who: Caller) -> Response:
        """Return one request."""
        return json_response(HistoryEntry.from_entry(await orchestrator.history.entry(request_id, who)))

    @routes.delete("/history", responses=error_responses())
    async def delete_all_content(who: Caller) -> ForgetResponse:
        """Delete the content of all your requests: variables, input, response, comments, and your drafts.

        Counts and stars stay.
        """
        return ForgetResponse(forgotten=await accounts.forget(None, who))

    @routes.delete("/history/{request_id}", responses=error_responses(_NO_REQUEST))
    async def delete_content(request_id: str, who: Caller) -> ForgetResponse:
        """Delete the content of one of your requests."""
        forgotten = await accounts.forget([request_id], who)
        if not forgotten:
            raise NotFoundError("Request not found.", param="request_id")
        return ForgetResponse(forgotten=forgotten)

    @routes.get(
        "/history.csv",
        response_class=StreamingResponse,
        responses=as_csv | error_responses(),
    )
    async def export_history_as_csv(where: Filter, who: Caller) -> StreamingResponse:
        """Download the history as CSV for a spreadsheet."""
        lines = csv_lines(await _begun(orchestrator.history.export(where, who)))
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=download_headers("history.csv"))

    @routes.get(
        "/history.jsonl",
        response_class=StreamingResponse,
        responses=as_jsonl | error_responses(),
    )
    async def export_history_as_jsonl(where: Filter, who: Caller) -> StreamingResponse:
        """Download the history as JSON, one request per line."""
        lines = json_lines(await _begun(orchestrator.history.export(where, who)))
        return StreamingResponse(lines, media_type="application/jsonl", headers=download_headers("history.jsonl"))

    return routes


async def _begun(entries: AsyncIterator[Entry]) -> AsyncIterator[Entry]:
    """Return an iterator of the same entries. What fails at once is raised while the response has no status yet."""
    first = await anext(entries, None)

    async def all_of_them() -> AsyncIterator[Entry]:
        if first is not None:
            yield first
            async for entry in entries:
                yield entry

    return all_of_them()
