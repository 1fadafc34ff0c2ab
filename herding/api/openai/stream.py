"""A run as the stream of chunks that OpenAI's clients read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from herding.api.http.errors import problem_of
from herding.api.http.sse import data_only
from herding.api.openai.responses import Chunks, Json, Style
from herding.errors import HerdingError
from herding.values import Delta, Done, Event, Started

END = b"data: [DONE]\n\n"


async def chunks(
    stream: AsyncGenerator[Event, None], style: Style, *, include_usage: bool
) -> AsyncGenerator[bytes, None]:
    """The chunks, from the first text on; an error before it is raised, a later one is the last event."""
    begun = False
    try:
        async with aclosing(_chunks(stream, style, include_usage)) as pieces:
            async for piece in pieces:
                begun = True
                yield data_only(piece)
        yield END
    except HerdingError as error:
        if not begun:
            raise
        yield data_only(problem_of(error).openai())


async def _chunks(stream: AsyncGenerator[Event, None], style: Style, include_usage: bool) -> AsyncGenerator[Json, None]:
    writer = Chunks.of(style, "", "", include_usage=include_usage)
    first = True
    async with aclosing(stream):
        async for event in stream:
            match event:
                case Started():
                    writer = Chunks.of(style, event.request_id, event.model, include_usage=include_usage)
                case Delta(text):
                    yield writer.piece(text, first=first)
                    first = False
                case Done(outcome):
                    if first:
                        writer = Chunks.of(style, outcome.request_id, outcome.model or "", include_usage=include_usage)
                        yield writer.piece("", first=True)
                    yield writer.last(outcome)
                    if include_usage:
                        yield writer.usage(outcome)
