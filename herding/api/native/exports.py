"""The history as files: `GET /api/v1/history.csv` and `/api/v1/history.jsonl`, streamed, with the filters of the UI."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from herding.api.http.deps import Caller
from herding.api.http.reply import attachment
from herding.api.native.filters import Where
from herding.api.native.responses import instant
from herding.orchestrator import Orchestrator
from herding.values import Entry

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
    "checks_passed",
    "check_failure",
    "error_type",
    "error",
    "stars",
    "comment",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of the exports."""
    routes = APIRouter(prefix="/api/v1", tags=["history"])

    @routes.get("/history.csv")
    async def as_csv(where: Where, who: Caller) -> StreamingResponse:
        """The history as CSV for a spreadsheet."""
        rows = csv_lines(orchestrator.history.export(where, who))
        return StreamingResponse(rows, media_type="text/csv; charset=utf-8", headers=attachment("history.csv"))

    @routes.get("/history.jsonl")
    async def as_jsonl(where: Where, who: Caller) -> StreamingResponse:
        """The history as JSON, one request a line."""
        rows = json_lines(orchestrator.history.export(where, who))
        return StreamingResponse(rows, media_type="application/jsonl", headers=attachment("history.jsonl"))

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
    usage, timings, checks = row.pop("usage"), row.pop("timings"), row.pop("checks")
    row |= timings | {"checks_passed": checks["ok"], "check_failure": checks["reason"]}
    row |= {"input_tokens": usage["input_tokens"], "output_tokens": usage["output_tokens"]}
    row |= {"token_source": usage["source"], "stars": entry.stars, "comment": entry.comment}
    row["created_at"] = instant(row["created_at"])
    row["variables"] = dict(row["variables"])
    row["parameters"] = entry.outcome.parameters.given()
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
