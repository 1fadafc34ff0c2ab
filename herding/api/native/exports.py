"""The history as files: CSV for spreadsheets, and JSON lines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from herding.api.http.models import format_instant
from herding.api.http.spreadsheet import BYTE_ORDER_MARK, csv_line
from herding.values import NANO, Entry

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
    "kind",
    "token",
    "cost",
    "ratings",
    "references",
    "parent",
    "step",
)
"""The columns of the exports. `stars` is the mean of all stars, `comment` all comments, `ratings` each by its user."""


async def csv_lines(entries: AsyncIterator[Entry]) -> AsyncIterator[str]:
    """Yield CSV with a header, for spreadsheets."""
    yield BYTE_ORDER_MARK + csv_line(COLUMNS)
    async for entry in entries:
        row = flatten(entry)
        if entry.outcome.cost is not None:
            row["cost"] = plain_dollars(entry.outcome.cost)
        yield csv_line(row[column] for column in COLUMNS)


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
    row |= {"token_source": usage["source"], "stars": _mean_stars(entry), "comment": _comments(entry)}
    row["created_at"] = format_instant(row["created_at"])
    row["variables"] = dict(row["variables"])
    row["parameters"] = entry.outcome.parameters.given()
    row["cost"] = entry.outcome.dollars
    row["ratings"] = ratings(entry)
    row["references"] = None if row["references"] is None else list(row["references"])
    return {column: row[column] for column in COLUMNS}


def ratings(entry: Entry) -> list[dict[str, Any]]:
    """Return the stars and comments of all users, oldest first."""
    return [
        {
            "user": rating.principal,
            "score": rating.stars,
            "comment": rating.comment,
            "updated_at": format_instant(rating.updated_at),
        }
        for rating in entry.ratings
    ]


def plain_dollars(nano: int) -> str:
    """Return nano-dollars as dollars with all digits and without an exponent."""
    text = f"{Decimal(nano) / NANO:.9f}"
    return text.rstrip("0").rstrip(".")


def _mean_stars(entry: Entry) -> float | None:
    mean = entry.mean_stars
    return int(mean) if mean is not None and mean == int(mean) else mean


def _comments(entry: Entry) -> str | None:
    """Return the only comment, or all of them with their users."""
    written = [rating for rating in entry.ratings if rating.comment]
    if len(written) < 2:
        return written[0].comment if written else None
    return "\n".join(f"{rating.principal}: {rating.comment}" for rating in written)
