"""Who answered, and why, in the headers of an answer: for whoever cannot look into its body."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import lru_cache
from urllib.parse import quote

from herding.values import Event, Outcome, Started

Headers = dict[str, str]


def headers(outcome: Outcome) -> Headers:
    """The headers of a whole answer."""
    return _headers(outcome.request_id, outcome.model or "", outcome.node or "", outcome.reason or "")


async def noted(stream: AsyncGenerator[Event, None], headers: Headers) -> AsyncGenerator[Event, None]:
    """The events of a stream; `headers` has those of its answer as soon as a node took the request."""
    async with aclosing(stream):
        async for event in stream:
            if isinstance(event, Started):
                headers.update(_headers(event.request_id, event.model, event.node, event.reason))
            yield event


def _headers(request_id: str, model: str, node: str, reason: str) -> Headers:
    told = {"x-herding-model": model, "x-herding-node": node, "x-herding-reason": reason}
    return {"x-request-id": request_id} | {name: _header(value) for name, value in told.items()}


@lru_cache(1024)
def _header(value: str) -> str:
    """Header values are ASCII: all else is percent-encoded, and so is the percent sign."""
    return quote(value, safe=_PLAIN)


_PLAIN = " !\"#$&'()*+,-./:;<=>?@[]^_`{|}~"
