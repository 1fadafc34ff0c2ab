"""The tab "History": all requests as rows, and the open one beside them.

The address has the filters (`text`, `prompt`, `version`, `model`, `node`, `user`, `stars`, `status`, `period`, `from`,
`to`), the order (`sort`) and the open request (`request`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.access.operations import HISTORY, HISTORY_ALL, RATE
from herding.errors import HerdingError, NotFoundError
from herding.store import now_ms
from herding.ui.engineer.feedback import COMMENT_SAVED, RATING_SAVED, news
from herding.ui.history import entry as request_view
from herding.ui.history import filters, rows
from herding.ui.history.rows import PAGE, Shown
from herding.ui.kit.fields import parse_stars
from herding.ui.kit.format import el, failure, join, plural
from herding.ui.kit.live import every
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.values import Entry, HistoryFilter, HistorySlice, HistorySort, Principal

NEWEST = HistorySort()
NEWS = every(5)
MAX_ROWS = 200


class HistoryTab(View):
    """The filters, the rows, and the request that is open."""

    key = "history"
    label = "History"
    rights = frozenset({HISTORY})

    @classmethod
    def title(cls, principal: Principal) -> str:
        return "History" if HISTORY_ALL in principal.rights else "My history"

    @fragment("GET", "", HISTORY)
    async def open(self, call: Call) -> Markup:
        """Return the whole tab, with the filters and the request that the address names."""
        facets = await self._orchestrator.history.facets(call.principal)
        selected = call.text("request")
        try:
            listing = await self._list(call, selected)
        except HerdingError as error:  # the fields stay, so that they can be changed
            listing = failure("Can't show these requests", error.message)
        opened = await self._open_entry(selected, call) if selected else Markup()
        aside = el("aside", opened, id="history-detail", cls="detail", aria_label="Request",
                   data_drawer="request")  # fmt: skip
        split = el("div", el("div", listing, id="history-list"), aside, cls="split-view drawer history-split")
        return el("div", filters.form(call, facets, call.principal), split, cls="history", data_module="history")

    async def _open_entry(self, request_id: str, call: Call) -> Markup:
        try:
            return self._details(await self._orchestrator.history.entry(request_id, call.principal), call)
        except NotFoundError as error:
            return request_view.not_found(error.message)

    @fragment("GET", "/list", HISTORY)
    async def list(self, call: Call) -> Reply:
        """Return the rows for other filters or another order, which the address keeps."""
        listing = await self._list(call, call.in_address("request"))
        order = filters.sort_field(filters.read_sort(call), swap=True)
        return Reply(join([listing, order]), address=filters.address(call))

    @fragment("GET", "/more", HISTORY)
    async def more(self, call: Call) -> Markup:
        """Return the rows after a position."""
        after = rows.read_position(call.text("after"))
        found = await self._orchestrator.history.slice(
            filters.read_filter(call), call.principal, sort=filters.read_sort(call), after=after, limit=PAGE
        )
        shown = _shown(call, call.in_address("request"))
        return join([*(rows.row(entry, shown) for entry in found.entries), rows.more_button(found.end, swap=True)])

    async def _list(self, call: Call, selected: str) -> Markup:
        """Return the first rows, with their number and the downloads; `rows` is how many the page has already."""
        who, history = call.principal, self._orchestrator.history
        where, sort, began = filters.read_filter(call), filters.read_sort(call), now_ms()
        limit = max(PAGE, min(call.whole("rows"), MAX_ROWS))
        found = await history.slice(where, who, sort=sort, limit=limit)
        counted = await history.count(where, who)
        newest = _newest(found, sort, began)
        if not found.entries:
            table = rows.no_requests(filtered=where != HistoryFilter(steps=False), engineer="engineer" in who.tabs)
        else:
            table = rows.table(found.entries, sort, _shown(call, selected), end=found.end)
        whose = "" if HISTORY_ALL in who.rights else "Your requests only · "
        count = f"{whose}{plural(counted.total, 'request')}{' or more' if counted.more else ''}"
        cut = " · Only the newest matches are sorted." if found.cut else ""
        bar = el(
            "div",
            el("p", count, cut, cls="muted", role="status", id="history-count"),
            el("div", id="history-news", role="status", hx_get=f"ui/history/news?than={newest}", hx_trigger=NEWS,
               hx_include=filters.FORM),
            filters.download_links(where),
            cls="history-bar",
        )  # fmt: skip
        return join([bar, table])

    @fragment("GET", "/news", HISTORY)
    async def news(self, call: Call) -> Markup:
        """Return a button that shows new requests; empty if there are none."""
        created_at, _, request_id = call.text("than").partition("~")
        than = (int(created_at), request_id) if created_at.isascii() and created_at.isdigit() else None
        count = await self._orchestrator.history.newer(filters.read_filter(call), than, call.principal)
        if not count:
            return Markup()
        written = plural(count, "new request") if count < 100 else "100+ new requests"
        return rows.reload_button(f"{written} · Show")

    @fragment("GET", "/rows/{request_id}", HISTORY)
    async def row(self, call: Call) -> Markup:
        """Return the row of a request as it is now."""
        entry = await self._orchestrator.history.entry(call.path["request_id"], call.principal)
        return rows.row(entry, _shown(call, call.in_address("request")))

    @fragment("GET", "/entries/{request_id}", HISTORY)
    async def entry(self, call: Call) -> Reply:
        """Return a request in full; the address names it, unless the page only follows it."""
        request_id, who = call.path["request_id"], call.principal
        shown = self._details(await self._orchestrator.history.entry(request_id, who), call)
        return Reply(shown, address={} if call.text("follow") else {"request": request_id})

    @fragment("POST", "/entries/{request_id}/rate", RATE)
    async def rate(self, call: Call) -> Reply:
        """Save the stars of a request; 0 removes them."""
        stars = parse_stars(call.whole("stars"))
        await self._orchestrator.feedback.rate(call.path["request_id"], stars, call.principal)
        return await self._rated(RATING_SAVED, call)

    @fragment("POST", "/entries/{request_id}/comment", RATE)
    async def comment(self, call: Call) -> Reply:
        """Save the comment on a request."""
        text = call.text("comment").replace("\r\n", "\n")
        await self._orchestrator.feedback.comment(call.path["request_id"], text, call.principal)
        return await self._rated(COMMENT_SAVED, call)

    async def _rated(self, saved: Markup, call: Call) -> Reply:
        """Return what was saved; the ratings of all users, and the row with them, to roles that may see it."""
        if HISTORY not in call.principal.rights:
            return Reply(news(saved, None, call.principal))
        entry = await self._orchestrator.history.entry(call.path["request_id"], call.principal)
        return Reply(news(saved, entry, call.principal), events=_changed_row(entry, call))

    @fragment("POST", "/entries/{request_id}/forget", HISTORY)
    async def forget(self, call: Call) -> Reply:
        """Delete the content of an own request."""
        request_id, who = call.path["request_id"], call.principal
        if not await self._orchestrator.accounts.forget([request_id], who):
            raise NotFoundError(
                "Request not found. You can only delete the content of your own requests.", param="request_id"
            )
        entry = await self._orchestrator.history.entry(request_id, who)
        return Reply(self._details(entry, call), notice="Content deleted.", events=_changed_row(entry, call))

    def _details(self, entry: Entry, call: Call) -> Markup:
        return request_view.details(entry, call.principal, filters.of_address(call))


def _shown(call: Call, selected: str) -> Shown:
    return Shown(selected, call.text("text").strip(), HISTORY_ALL in call.principal.rights)


def _changed_row(entry: Entry, call: Call) -> Mapping[str, Any]:
    """Return the event with the row of a request that has changed."""
    shown = Shown(entry.outcome.request_id, call.in_address("text"), HISTORY_ALL in call.principal.rights)
    return {"history-row": {"id": entry.outcome.request_id, "html": str(rows.row(entry, shown))}}


def _newest(found: HistorySlice, sort: HistorySort, began: int) -> str:
    """Return the instant and the id after which requests are new."""
    if sort == NEWEST and found.entries:
        first = found.entries[0].outcome
        return f"{first.created_at}~{first.request_id}"
    return f"{began}~~"
