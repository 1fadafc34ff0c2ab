"""The query parameters that choose requests, shared by the history and the usage."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BeforeValidator

from herding.api.http.period import From, To, read_period
from herding.values import HistoryFilter, Kind, Status

EMPTY_TO_NONE = BeforeValidator(lambda value: None if value == "" else value)
"""Reads an empty value as if the parameter were not given."""


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
    begin: From = None,
    end: To = None,
) -> HistoryFilter:
    """Return the filter of the parameters; an empty value matches all."""
    since, until = read_period(begin, end)
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
