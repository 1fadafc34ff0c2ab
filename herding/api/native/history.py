"""The history: pages of requests, single requests, exports as files, and deletion of content."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator

from herding.api.http.errors import Responses, error_responses
from herding.api.http.models import Instant, ResponseModel, format_instant
from herding.api.http.request import Caller
from herding.api.http.response import download_headers, json_response
from herding.api.native.infer import RunPromptResponse
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.serving.history import MAX_PAGE
from herding.values import Entry, HistoryFilter, Status

MAX_OFFSET = 2**31
_NO_REQUEST = NotFoundError("Request not found.", param="request_id")

COLUMNS = (
    "request_id",
    "created_at",
    "principal",
    "session_id",
    "prompt",
    "version",
    "variant",
    "edited",
    "variables",
    "parameters",
    "input",
    "answer",
    "status",
    "finish_reason",
    "model",
    "node",
    "input_tokens",
    "output_tokens",
    "token_source",
    "queued_ms",
    "first_token_ms",
    "total_ms",
    "checks_ok",
    "checks_reason",
    "error_type",
    "error",
    "stars",
    "comment",
)
"""The columns of the exports."""

MAX_CELL = 32_767
"""The most characters that spreadsheets keep in a cell."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_BYTE_ORDER_MARK = "\ufeff"
_EMPTY_TO_NONE = BeforeValidator(lambda value: value or None)


class RequestError(ResponseModel):
    """The error that ended a request."""

    type: str
    message: str | None


class HistoryEntry(RunPromptResponse):
    """One request of the history, with your stars and your comment."""

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
        )


class HistoryPage(ResponseModel):
    """Requests, newest first; `total` counts all that match the filter."""

    entries: list[HistoryEntry]
    total: int
    offset: int
    limit: int


class ForgetResponse(ResponseModel):
    """The number of requests whose content was deleted."""

    forgotten: int


async def history_filter(
    *,
    prompt: str | None = None,
    model: str | None = None,
    node: str | None = None,
    stars: Annotated[int | None, Query(ge=0, le=5, description="0: unrated"), _EMPTY_TO_NONE] = None,
    status: Annotated[Status | None, _EMPTY_TO_NONE] = None,
    text: Annotated[
        str | None, Query(max_length=1000, description="in variables, input, response, error, comment")
    ] = None,
) -> HistoryFilter:
    """Return the filter of a query string; an empty value matches all."""
    return HistoryFilter(
        prompt=prompt or None, model=model or None, node=node or None, stars=stars, status=status, text=text or None
    )


Filter = Annotated[HistoryFilter, Depends(history_filter)]


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of the history."""
    routes = APIRouter(prefix="/api/v1", tags=["history"])
    accounts = orchestrator.accounts

    @routes.get("/history", response_model=HistoryPage, responses=error_responses())
    async def list_requests(
        where: Filter,
        who: Caller,
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 25,
    ) -> Response:
        """List requests, newest first: those of all users with the right `history_all`, else your own."""
        page = await orchestrator.history.page(where, who, offset=offset, limit=limit)
        entries = [HistoryEntry.from_entry(entry) for entry in page.entries]
        return json_response(HistoryPage(entries=entries, total=page.total, offset=offset, limit=limit))

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

    @routes.get("/history.csv", response_class=StreamingResponse, responses=_file("text/csv") | error_responses())
    async def export_history_as_csv(where: Filter, who: Caller) -> StreamingResponse:
        """Download the history as CSV for a spreadsheet."""
        lines = csv_lines(orchestrator.history.export(where, who))
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=download_headers("history.csv"))

    @routes.get(
        "/history.jsonl", response_class=StreamingResponse, responses=_file("application/jsonl") | error_responses()
    )
    async def export_history_as_jsonl(where: Filter, who: Caller) -> StreamingResponse:
        """Download the history as JSON, one request per line."""
        lines = json_lines(orchestrator.history.export(where, who))
        return StreamingResponse(lines, media_type="application/jsonl", headers=download_headers("history.jsonl"))

    return routes


def _file(media_type: str) -> Responses:
    return {200: {"content": {media_type: {"schema": {"type": "string"}}}}}


async def csv_lines(entries: AsyncIterator[Entry]) -> AsyncIterator[str]:
    """Yield CSV with a header, for spreadsheets.

    They take it for UTF-8 only with a byte order mark. A text that they would run as a formula gets a quote in front,
    and one that is too long for a cell is cut, with a mark that says so.
    """
    yield _BYTE_ORDER_MARK + _csv_line(COLUMNS)
    async for entry in entries:
        row = flatten(entry)
        yield _csv_line([_cell(row[column]) for column in COLUMNS])


async def json_lines(entries: AsyncIterator[Entry]) -> AsyncIterator[str]:
    """Yield one JSON object per line, with texts exactly as stored."""
    async for entry in entries:
        yield json.dumps(flatten(entry), ensure_ascii=False) + "\n"


def flatten(entry: Entry) -> dict[str, Any]:
    """Return an entry with one value for each of `COLUMNS`."""
    row = asdict(entry.outcome)
    usage, timings, checks = row.pop("usage"), row.pop("timings"), row.pop("checks")
    row |= timings | {"checks_ok": checks["ok"], "checks_reason": checks["reason"]}
    row |= {"input_tokens": usage["input_tokens"], "output_tokens": usage["output_tokens"]}
    row |= {"token_source": usage["source"], "stars": entry.stars, "comment": entry.comment}
    row["created_at"] = format_instant(row["created_at"])
    row["variables"] = dict(row["variables"])
    row["parameters"] = entry.outcome.parameters.given()
    return {column: row[column] for column in COLUMNS}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return _cut(f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text)


def _cut(text: str) -> str:
    """Return a text that fits into a cell. Spreadsheets count UTF-16 units: two for an emoji."""
    units = text.encode("utf-16-le", "surrogatepass") if len(text) > MAX_CELL // 2 else b""
    if len(units) <= 2 * MAX_CELL:
        return text
    mark = f" [cut: {len(text):,} characters in history.jsonl]"
    return units[: 2 * (MAX_CELL - len(mark))].decode("utf-16-le", "ignore") + mark


def _csv_line(cells: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
