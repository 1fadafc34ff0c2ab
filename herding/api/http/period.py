"""The query parameters `from` and `to`, which bound a period."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import Query

from herding.errors import UserError

From = Annotated[
    str | None, Query(alias="from", max_length=40, description="ISO 8601: a day, or a time; UTC without an offset")
]
To = Annotated[
    str | None, Query(alias="to", max_length=40, description="ISO 8601: the last day, or a time just after the period")
]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_period(begin: str | None, end: str | None) -> tuple[int | None, int | None]:
    """Return the begin (inclusive) and the end (exclusive) of a period in Unix milliseconds; None without a bound.

    Raises UserError for other texts, and for an end that is not after the begin.
    """
    since, until = _read(begin, "from", last=False), _read(end, "to", last=True)
    if since is not None and until is not None and until <= since:
        raise UserError("'to' must be after 'from'.", param="to")
    return since, until


def _read(text: str | None, name: str, *, last: bool) -> int | None:
    if not text:
        return None
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=last)
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            found = datetime.fromisoformat(re.sub(r" (\d{2}:\d{2})$", r"+\1", text))  # an unescaped + is a space
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return round(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        message = f"'{name}' must be a day such as 2026-11-30, or a time such as 2026-11-30T12:00:00Z."
        raise UserError(message, param=name) from None
