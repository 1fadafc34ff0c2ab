"""The filters of the history in a query string."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from pydantic import BeforeValidator

from herding.values import HistoryFilter, Status

_BLANK = BeforeValidator(lambda value: value or None)


async def where(
    *,
    prompt: str | None = None,
    model: str | None = None,
    node: str | None = None,
    stars: Annotated[int | None, Query(ge=0, le=5, description="0: unrated"), _BLANK] = None,
    status: Annotated[Status | None, _BLANK] = None,
    text: Annotated[
        str | None, Query(max_length=1000, description="in variables, input, answer, error, comment")
    ] = None,
) -> HistoryFilter:
    """The filter in a query string; an empty value means any."""
    return HistoryFilter(
        prompt=prompt or None, model=model or None, node=node or None, stars=stars, status=status, text=text or None
    )


Where = Annotated[HistoryFilter, Depends(where)]
