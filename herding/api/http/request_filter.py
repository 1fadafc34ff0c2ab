"""The query parameters that choose requests, shared by the history and the usage."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BeforeValidator

from herding.errors import UserError
from herding.values import HistoryFilter, Kind, Status

EMPTY_TO_NONE = BeforeValidator(lambda value: None if value == "" else value)
"""Reads an empty value as if the parameter were not given."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


async def request_filter(
    *,
    prompt: str | None = None,
    model: str | None = None,
    node: str | None = None,
    user: Annotated[str | None, Query(max_length=200, description="others with the right `history_all`")] = None,
    token: Annotated[str | None, Query(max_length=200, description="the id of a token")] = None,
    kind: Annotated[
        Kind | None,
        Query(description="a run of a prompt with steps is a `chain`, each of its steps a `step`"),
        EMPTY_TO_NONE,
    ] = None,
    status: Annotated[Status | None, EMPTY_TO_NONE] = None,
    begin: Annotated[
        str | None, Query(alias="from", max_length=40, description="ISO 8601: a day, or a time; UTC without an offset")
    ] = None,
    end: Annotated[
        str | None,
        Query(alias="to", max_length=40, description="ISO 8601: the last day, or a time just after the period"),
    ] = None,
) -> HistoryFilter:
    """Return the filter of the parameters; an empty value matches all.

    Raises UserError for a bound of the period that is no time, and for an end that is not after the begin.
    """
    since, until = _read_time(begin, "from", last=False), _read_time(end, "to", last=True)
    if since is not None and until is not None and until <= since:
        raise UserError("'to' must be after 'from'.", param="to")
    return HistoryFilter(
        principal=user or None,
        prompt=prompt or None,
        model=model or None,
        node=node or None,
        token=token or None,
        kind=kind,
        status=status,
        since=since,
        until=until,
    )


RequestFilter = Annotated[HistoryFilter, Depends(request_filter)]


def _read_time(text: str | None, name: str, *, last: bool) -> int | None:
    """Return a time in Unix milliseconds: of a day its beginning, of the `last` one its end."""
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
