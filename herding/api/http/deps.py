"""Who sends a request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from herding.values import Principal


async def who(request: Request) -> Principal:
    """The principal that the middleware found; async, since the framework runs anything else in a thread."""
    principal: Principal = request.state.principal
    return principal


Caller = Annotated[Principal, Depends(who)]
