"""The tab "History": every request, page by page, with all that is known of each."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import gradio as gr

from herding.access.operations import HISTORY, HISTORY_ALL, RATE
from herding.orchestrator import Orchestrator
from herding.ui import entry_page
from herding.ui import stars as star
from herding.ui.answer import SAVED
from herding.ui.entry_list import rows
from herding.ui.format import STATUS, Html, el, empty
from herding.ui.guard import needs, on, who
from herding.ui.picklist import pick_list, picked
from herding.values import HistoryFilter, Principal

PAGE = 25
ANY = ""
MAX_TEXT = 1000
STARS = [("any stars", ANY), *((f"{'★' * n} {n}", str(n)) for n in (5, 4, 3, 2, 1)), ("not rated", "0")]
NOT_CHOSEN = empty("Nothing chosen", "Choose a request of the list to see its input, answer and figures.")


class History:
    """Layout of the tab, and its handlers. `offset` is the first row of the page; `chosen` the open request's id."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.offset, self.chosen = gr.State(0), gr.State("")
        self._build_filters()
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=7, min_width=320):
                self.list = pick_list("history-list")
                with gr.Row(elem_classes=["pager"]):
                    self.newer = gr.Button("‹ Newer", size="sm", scale=0, min_width=100, elem_id="history-prev")
                    self.place = gr.HTML(elem_id="history-place")
                    self.older = gr.Button("Older ›", size="sm", scale=0, min_width=100, elem_id="history-next")
            with gr.Column(scale=5, min_width=320, elem_id="history-detail", elem_classes=["detail"]):
                self.head = gr.HTML(NOT_CHOSEN, elem_id="history-head")
                self._build_feedback()
                self.page = gr.HTML(elem_id="history-page")
        self._wire()

    def _build_filters(self) -> None:
        with gr.Row(elem_classes=["filters"]):
            self.prompt = _choice("Prompt", "any prompt", "history-prompt")
            self.model = _choice("Model", "any model", "history-model")
            self.node = _choice("Node", "any node", "history-node")
            self.stars_given = gr.Dropdown(
                STARS, value=ANY, label="Stars", interactive=True, min_width=120, elem_id="history-stars-filter"
            )
            statuses = [("any status", ANY), *((shown, status) for status, (shown, _) in STATUS.items())]
            self.status = gr.Dropdown(
                statuses, value=ANY, label="Status", interactive=True, min_width=120, elem_id="history-status"
            )
            self.text = gr.Textbox(
                label="Text", placeholder="Search, then Enter", interactive=True, min_width=170, elem_id="history-text"
            )
        with gr.Row(elem_classes=["toolbar"]):
            self.scope = gr.HTML(elem_id="history-scope")
            self.refresh = gr.Button("Refresh", size="sm", scale=0, min_width=100, elem_id="history-refresh")
            self.links = gr.HTML(elem_id="history-export")

    def _build_feedback(self) -> None:
        with gr.Column(visible=False, elem_id="history-feedback", elem_classes=["feedback"]) as self.feedback:
            self.stars = star.star_rating("history-stars", "Rate this answer")
            with gr.Row(elem_classes=["comment-row"]):
                self.comment = gr.Textbox(
                    label="Comment", lines=2, max_lines=6, interactive=True, scale=5, elem_id="history-comment"
                )
                self.save = gr.Button("Save comment", size="sm", scale=0, min_width=130, elem_id="history-comment-save")
            self.note = gr.HTML(elem_id="history-note", elem_classes=["note"])

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        choices = [self.prompt, self.model, self.node, self.stars_given, self.status]
        first = [*(field.input for field in choices), self.text.submit]
        on(first, self.first, self.inputs, self.listing, name="history_filter", **now)
        on(self.newer.click, self.go_newer, self.inputs, self.listing, name="history_newer", **now)
        on(self.older.click, self.go_older, self.inputs, self.listing, name="history_older", **now)
        on(self.refresh.click, self.opened, self.inputs, self.outputs, name="history_refresh", **now)
        detail = [self.chosen, self.head, self.page, self.feedback, self.stars, self.comment, self.note]
        on(self.list.pick, self.pick, [], detail, name="history_pick", trigger_mode="multiple", **now)
        rated, given = [self.note, *self.listing], [self.stars, *self.inputs]
        on(self.stars.rate, self.rate, given, rated, name="history_rate", trigger_mode="always_last", **now)
        on(self.save.click, self.remark, [self.chosen, self.comment], [self.note], name="history_comment", **now)

    @property
    def inputs(self) -> list[Any]:
        filters = [self.prompt, self.model, self.node, self.stars_given, self.status, self.text]
        return [self.offset, self.chosen, *filters]

    @property
    def listing(self) -> list[Any]:
        return [self.offset, self.list, self.place, self.newer, self.older, self.links]

    @property
    def outputs(self) -> list[Any]:
        return [self.prompt, self.model, self.node, self.scope, *self.listing]

    @needs(HISTORY)
    async def opened(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The tab is opened or refreshed: what can be filtered for may have changed, too."""
        principal = who(request)
        facets = await self._orchestrator.facets(principal)
        known = zip(("prompt", "model", "node"), (facets.prompts, facets.models, facets.nodes), filters, strict=False)
        choices = [_choices(name, found, held) for name, found, held in known]
        return [*choices, _scope(principal), *await self._page(offset, chosen, filters, principal)]

    @needs(HISTORY)
    async def first(self, _offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The first page of what fits the filters."""
        return await self._page(0, chosen, filters, who(request))

    @needs(HISTORY)
    async def go_newer(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The page before."""
        return await self._page(offset - PAGE, chosen, filters, who(request))

    @needs(HISTORY)
    async def go_older(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The page after."""
        return await self._page(offset + PAGE, chosen, filters, who(request))

    async def _page(self, offset: int, chosen: str, filters: tuple[Any, ...], principal: Principal) -> list[Any]:
        where, offset = wanted(*filters), max(0, offset)
        page = await self._orchestrator.history(where, principal, offset=offset, limit=PAGE)
        if offset and not page.entries:
            offset = max(0, (page.total - 1) // PAGE * PAGE)
            page = await self._orchestrator.history(where, principal, offset=offset, limit=PAGE)
        last = offset + len(page.entries)
        return [
            offset,
            rows(page.entries, chosen, filtered=where != HistoryFilter()),
            _place(offset, last, page.total),
            gr.update(interactive=offset > 0),
            gr.update(interactive=last < page.total),
            links(where),
        ]

    @needs(HISTORY)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Show all that is known of a request."""
        principal = who(request)
        entry = await self._orchestrator.request(picked(event), principal)
        may_rate = RATE in principal.rights
        return [
            entry.outcome.request_id,
            entry_page.head(entry),
            entry_page.body(entry),
            gr.update(visible=may_rate),
            star.shows(entry.stars, enabled=may_rate),
            entry.comment or "",
            "",
        ]

    @needs(RATE)
    async def rate(self, stars: Any, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Save the stars of the open request, and show them in the list."""
        await self._orchestrator.rate(chosen, star.given(stars), who(request))
        return [SAVED, *await self._page(offset, chosen, filters, who(request))]

    @needs(RATE)
    async def remark(self, chosen: str, text: str | None, request: gr.Request) -> Any:
        """Save the comment on the open request."""
        await self._orchestrator.comment(chosen, str(text or ""), who(request))
        return SAVED


def wanted(*fields: Any) -> HistoryFilter:
    """The filter that the fields say (prompt, model, node, stars, status, text); an empty field means any."""
    prompt, model, node, stars, status, text = fields
    known = status if status in STATUS else None
    given = int(stars) if str(stars or "") in tuple("012345") else None
    found = str(text or "").strip()[:MAX_TEXT]
    return HistoryFilter(
        prompt=prompt or None, model=model or None, node=node or None, stars=given, status=known, text=found or None
    )


def links(where: HistoryFilter) -> Html:
    """Downloads of all that fits the filters."""
    names = ("prompt", "model", "node", "stars", "status", "text")
    given = {name: value for name in names if (value := getattr(where, name)) is not None}
    query = f"?{urlencode(given)}" if given else ""
    return el(
        "nav", "Download", *(_link(kind, query) for kind in ("csv", "jsonl")), cls="export", aria_label="Download"
    )


def _link(kind: str, query: str) -> Html:
    return el("a", kind.upper(), href=f"api/v1/history.{kind}{query}", download=f"history.{kind}", cls="button")


def _place(offset: int, last: int, total: int) -> Html:
    shown = f"{offset + 1:,}–{last:,} of {total:,}" if total else "no requests"
    return el("span", shown, cls="muted", role="status")


def _scope(principal: Principal) -> Html:
    everybody = HISTORY_ALL in principal.rights
    return el("span", "Requests of everybody." if everybody else "Only your own requests.", cls="muted")


def _choice(label: str, any_label: str, elem_id: str) -> Any:
    return gr.Dropdown([(any_label, ANY)], value=ANY, label=label, interactive=True, min_width=150, elem_id=elem_id)


def _choices(name: str, found: tuple[str, ...], held: Any) -> Any:
    """The choices of a filter; one that is held stays, even if nothing has it any more."""
    known = dict.fromkeys([*found, held] if held else found)
    return gr.update(choices=[(f"any {name}", ANY), *((item, item) for item in known)], value=held or ANY)
