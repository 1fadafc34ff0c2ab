"""A running request as server-sent events for `assets/stream.js`.

status      HTML of the status line
started     the id of the request, which Stop needs
reasoning   more of the reasoning, as text
text        more of the response, as text
steps       HTML of the steps of a chain
blocks      HTML of the blocks of Markdown that are complete, and the text after them
done        the final HTML
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup

from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.kit.responses.chain_steps import live_steps
from herding.ui.kit.responses.event_batches import batch_events
from herding.ui.kit.responses.markdown import MAX_CHARS, complete_blocks
from herding.ui.kit.responses.response import RunProgress
from herding.values import Event, Outcome, Principal, StepChanged

PARSE_SHARE = 20
"""After rendering blocks for some time, so many times as long passes before the next."""

MIN_PARSE_S = 0.15

Finish = Callable[[Outcome | None, HerdingError | None, str], Awaitable[Markup]]
"""Returns the final HTML for an outcome or an error, and the text that had arrived."""


async def response_events(events: AsyncGenerator[Event, None], finish: Finish) -> AsyncGenerator[tuple[str, Any], None]:
    """Yield the events of a request for the page; closing this generator ends the request."""
    progress, blocks, stage = RunProgress(), _Blocks(), object()
    error: HerdingError | None = None
    try:
        async with contextlib.aclosing(batch_events(events)) as batches:
            async for batch in batches:
                text, reasoning, known = len(progress.text), len(progress.reasoning), progress.request_id
                progress.update(batch)
                for piece in _news(progress, batch, known):
                    yield piece
                if progress.outcome is not None:
                    continue
                if progress.stage != stage:
                    stage = progress.stage
                    yield "status", progress.status
                if more := progress.reasoning[reasoning:]:
                    yield "reasoning", more
                if more := progress.text[text:]:
                    yield "text", more
                    if complete := blocks.add(more):
                        yield "blocks", complete
                elif not batch:
                    yield "beat", None  # tells the server when the page is gone
    except HerdingError as raised:
        error = raised
    yield "done", await finish(progress.outcome, error, progress.text)


async def recorded_outcome(error: HerdingError | None, who: Principal, orchestrator: Orchestrator) -> Outcome | None:
    """Return the outcome of a request that failed, if it was recorded and `who` may read it."""
    if error is None or not error.request_id:
        return None
    with contextlib.suppress(HerdingError):  # the first error is the one to show
        return (await orchestrator.history.entry(error.request_id, who)).outcome
    return None


async def stop_requests(request_ids: Iterable[str], who: Principal, orchestrator: Orchestrator) -> None:
    """Stop running requests; the texts received so far stay."""
    for request_id in request_ids:
        with contextlib.suppress(NotFoundError):  # it has just ended
            await orchestrator.pipeline.cancel(request_id, who)


def _news(progress: RunProgress, batch: Sequence[Event], known: str) -> list[tuple[str, Any]]:
    """Return the id of the request once it has one, and the steps of a chain if one of them changed."""
    found: list[tuple[str, Any]] = [("started", progress.request_id)] if progress.request_id != known else []
    if any(isinstance(event, StepChanged) for event in batch):
        found.append(("steps", live_steps(progress.steps.values())))
    return found


class _Blocks:
    """The Markdown of a response that grows; only what follows the last complete block is parsed again."""

    def __init__(self) -> None:
        self._open, self._length, self._next = "", 0, 0.0

    def add(self, text: str) -> dict[str, Any] | None:
        """Add text; return the HTML of blocks that are complete now, and the text after them."""
        self._length += len(text)
        if self._length > MAX_CHARS:
            return None
        self._open += text
        began = time.monotonic()
        if began < self._next or "\n" not in self._open:
            return None
        html, start = complete_blocks(self._open)
        ended = time.monotonic()
        self._next = ended + max(MIN_PARSE_S, PARSE_SHARE * (ended - began))
        if not start:
            return None
        self._open = self._open[start:]
        return {"html": html, "rest": self._open}
