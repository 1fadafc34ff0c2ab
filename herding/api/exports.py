"""The history as files: `GET /api/v1/history.csv` and `/api/v1/history.jsonl`, streamed, with the filters of the UI."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator

from herding.orchestrator import Orchestrator
from herding.values import Entry, HistoryFilter, Principal, Status

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
    "contract_ok",
    "contract_reason",
    "error_type",
    "error",
    "stars",
    "comment",
)
_BLANK = BeforeValidator(lambda value: value or None)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def who(request: Request) -> Principal:
    """The principal that the middleware found."""
    principal: Principal = request.state.principal
    return principal


def where(
    *,
    prompt: str | None = None,
    model: str | None = None,
    node: str | None = None,
    stars: Annotated[int | None, Query(ge=0, le=5), _BLANK] = None,
    status: Annotated[Status | None, _BLANK] = None,
    text: Annotated[str | None, Query(max_length=1000)] = None,
) -> HistoryFilter:
    """The filter in a query string; an empty value means any."""
    return HistoryFilter(
        prompt=prompt or None, model=model or None, node=node or None, stars=stars, status=status, text=text or None
    )


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of the exports."""
    routes = APIRouter(prefix="/api/v1", tags=["history"])

    @routes.get("/history.csv")
    async def as_csv(
        filter: Annotated[HistoryFilter, Depends(where)], principal: Annotated[Principal, Depends(who)]
    ) -> StreamingResponse:
        rows = csv_lines(orchestrator.export(filter, principal))
        return StreamingResponse(rows, media_type="text/csv; charset=utf-8", headers=_attachment("history.csv"))

    @routes.get("/history.jsonl")
    async def as_jsonl(
        filter: Annotated[HistoryFilter, Depends(where)], principal: Annotated[Principal, Depends(who)]
    ) -> StreamingResponse:
        rows = json_lines(orchestrator.export(filter, principal))
        return StreamingResponse(rows, media_type="application/jsonl", headers=_attachment("history.jsonl"))

    return routes


async def csv_lines(entries: AsyncIterator[Entry]) -> AsyncIterator[str]:
    """CSV with a header; a text that a spreadsheet would run as a formula gets a quote in front."""
    yield _csv_line(COLUMNS)
    async for entry in entries:
        row = flat(entry)
        yield _csv_line([_cell(row[column]) for column in COLUMNS])


async def json_lines(entries: AsyncIterator[Entry]) -> AsyncIterator[str]:
    """One JSON object a line, texts exactly as stored."""
    async for entry in entries:
        yield json.dumps(flat(entry), ensure_ascii=False) + "\n"


def flat(entry: Entry) -> dict[str, Any]:
    """An entry with one value for each of `COLUMNS`."""
    row = asdict(entry.outcome)
    usage, timings, contract = row.pop("usage"), row.pop("timings"), row.pop("contract")
    row |= timings | {"contract_ok": contract["ok"], "contract_reason": contract["reason"]}
    row |= {"input_tokens": usage["input_tokens"], "output_tokens": usage["output_tokens"]}
    row |= {"token_source": usage["source"], "stars": entry.stars, "comment": entry.comment}
    row["created_at"] = datetime.fromtimestamp(row["created_at"] / 1000, UTC).isoformat(timespec="milliseconds")
    row["variables"] = dict(row["variables"])
    row["parameters"] = {key: value for key, value in row["parameters"].items() if value not in (None, ())}
    return {column: row[column] for column in COLUMNS}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _csv_line(cells: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
