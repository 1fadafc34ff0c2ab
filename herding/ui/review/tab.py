"""The tab "Review": one unrated response after the other, rated by keys or mouse."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from herding.access.operations import HISTORY, RATE
from herding.errors import NotFoundError
from herding.store import now_ms
from herding.ui.kit.fields import checkbox, parse_stars, select_field
from herding.ui.kit.format import el, join
from herding.ui.kit.period import ALL, CUSTOM, PRESETS, read_period
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.ui.review.item import MAX_SKIPPED, TARGET, Progress, item, verdict
from herding.values import Entry, HistoryFilter, ReviewQueue

NEWEST, SAMPLE = "", "sample"
ORDERS = [("Newest first", NEWEST), ("Random sample", SAMPLE)]


class ReviewTab(View):
    """The filters, and the response to rate."""

    key = "review"
    label = "Review"
    rights = frozenset({HISTORY, RATE})

    @fragment("GET", "", RATE)
    async def open(self, call: Call) -> Markup:
        """Return the whole tab, with the queue that the address names."""
        facets = await self._orchestrator.history.facets(call.principal)
        shown = (await self._shown(call, Progress())).html
        return join([_filters(call, facets.prompts), el("div", shown, id="review-item", data_module="review")])

    @fragment("GET", "/item", RATE)
    async def item(self, call: Call) -> Reply:
        """Return the next response of other filters, which the address keeps."""
        address = {name: call.text(name) for name in ("prompt", "order", "period")}
        return replace(await self._shown(call, replace(_progress(call), skipped=())), address=address)

    @fragment("POST", "/next", RATE)
    async def next(self, call: Call) -> Reply:
        """Save the comment, and return the next response; one that was not rated is skipped."""
        progress, entry = _progress(call), await self._current(call)
        if entry is None:
            return await self._shown(call, progress)
        if (text := call.text("comment")) != (entry.comment or ""):
            await self._orchestrator.feedback.comment(entry.outcome.request_id, text, call.principal)
        if entry.stars is None:
            return await self._shown(call, _skip(progress, entry))
        progress = replace(progress, rated=progress.rated + 1, last=entry.outcome.request_id)
        return await self._shown(call, progress)

    @fragment("POST", "/skip", RATE)
    async def skip(self, call: Call) -> Reply:
        """Return the next response, and leave this one for later."""
        entry = await self._current(call)
        progress = _progress(call)
        return await self._shown(call, _skip(progress, entry) if entry and entry.stars is None else progress)

    @fragment("POST", "/undo", RATE)
    async def undo(self, call: Call) -> Reply:
        """Remove the last rating, and show its response again."""
        progress = _progress(call)
        await self._orchestrator.feedback.rate(progress.last, None, call.principal)
        entry = await self._orchestrator.history.entry(progress.last, call.principal)
        queue = await self._queue(call, progress)
        left = max(1, queue.left)
        progress = replace(progress, rated=max(0, progress.rated - 1), last="")
        shown = item(ReviewQueue(entry, left, queue.more), progress, names=_names(call))
        return Reply(shown, notice="Rating removed.")

    @fragment("POST", "/{request_id}/rate", RATE)
    async def rate(self, call: Call) -> Markup:
        """Save the stars, and tell the model."""
        request_id = call.path["request_id"]
        await self._orchestrator.feedback.rate(request_id, parse_stars(call.whole("stars")), call.principal)
        return verdict(await self._orchestrator.history.entry(request_id, call.principal), names=_names(call))

    async def _shown(self, call: Call, progress: Progress) -> Reply:
        """Return the next response of the queue."""
        last = await self._entry(call, progress.last)
        return Reply(item(await self._queue(call, progress), progress, names=_names(call), last=last))

    async def _queue(self, call: Call, progress: Progress) -> ReviewQueue:
        period = call.text("period")
        since, until = read_period(period if period != CUSTOM else ALL, None, None, now_ms())
        where = HistoryFilter(prompt=call.text("prompt") or None, since=since, until=until)
        sample = call.text("order") == SAMPLE
        return await self._orchestrator.history.review(where, call.principal, sample=sample, skip=progress.skipped)

    async def _current(self, call: Call) -> Entry | None:
        return await self._entry(call, call.text("current"))

    async def _entry(self, call: Call, request_id: str) -> Entry | None:
        """Return a request, None if it is gone."""
        if not request_id:
            return None
        try:
            return await self._orchestrator.history.entry(request_id, call.principal)
        except NotFoundError:
            return None


def _progress(call: Call) -> Progress:
    skipped = tuple(call.text("skipped").split())[-MAX_SKIPPED:]
    return Progress(max(0, call.whole("rated")), skipped, call.text("last"))


def _skip(progress: Progress, entry: Entry) -> Progress:
    return replace(progress, skipped=(*progress.skipped, entry.outcome.request_id)[-MAX_SKIPPED:])


def _names(call: Call) -> bool:
    return call.text("names") == "on"


def _filters(call: Call, prompts: tuple[str, ...]) -> Markup:
    chosen = call.text("prompt")
    known = dict.fromkeys([*prompts, chosen] if chosen else prompts)
    periods = [("Any time", ALL), *((label, value) for label, value in PRESETS if value != CUSTOM)]
    return el(
        "form",
        select_field("Prompt", "prompt", [("Any prompt", ""), *((key, key) for key in known)], chosen),
        select_field("Order", "order", ORDERS, call.text("order")),
        select_field("Period", "period", periods, call.text("period")),
        checkbox("Show model names first", "names", checked=_names(call)),
        id="review-filters",
        cls="filters-row",
        hx_get="ui/review/item",
        hx_include="#review-state",
        hx_target=TARGET,
        hx_trigger="change, submit",
        hx_sync="this:replace",
    )
