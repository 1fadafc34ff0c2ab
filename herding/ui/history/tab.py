"""The tab "History": every request, page by page, with all that is known of each."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import HISTORY, HISTORY_ALL, PROMPTS, RATE, RUN
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.history import page as entry_page
from herding.ui.history.filters import ANY, choice, choices_of, links, wanted
from herding.ui.history.list import rows
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import STATUS, el, empty_state, success
from herding.ui.kit.picklist import pick_list, picked_item
from herding.ui.kit.stars import RATING_SAVED, parse_stars, star_rating, update_stars
from herding.values import Entry, HistoryFilter, Outcome, Principal

PAGE = 25
STARS = [("any stars", ANY), *((f"{'★' * n} {n}", str(n)) for n in (5, 4, 3, 2, 1)), ("not rated", "0")]
NOT_CHOSEN = empty_state("Nothing chosen", "Choose a request of the list to see its input, answer and figures.")

GONE = "Its variables, input, answer, error and comments go; counts, times and stars stay. This cannot be undone."
DELETED = success("The texts are deleted.")


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
                self.compare = gr.Button("Open in Compare", size="sm", visible=False, elem_id="history-compare")
                self._build_feedback()
                self.page = gr.HTML(elem_id="history-page")
                self.forget = ConfirmButton(
                    "Delete texts", GONE, "Delete these texts", right=HISTORY, name="forget", elem_id="forget"
                )
        self._wire()

    def _build_filters(self) -> None:
        with gr.Row(elem_classes=["filters"]):
            self.prompt = choice("Prompt", "any prompt", "history-prompt")
            self.model = choice("Model", "any model", "history-model")
            self.node = choice("Node", "any node", "history-node")
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
            self.stars = star_rating("history-stars", "Rate this answer")
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
        detail = self.detail
        on(self.list.pick, self.pick, [], detail, name="history_pick", trigger_mode="multiple", **now)
        deleted = [*detail, *self.listing]
        on(self.forget.yes.click, self.delete, self.inputs, deleted, name="history_forget")
        rated, given = [self.note, *self.listing], [self.stars, *self.inputs]
        on(self.stars.rate, self.rate, given, rated, name="history_rate", trigger_mode="always_last", **now)
        on(self.save.click, self.remark, [self.chosen, self.comment], [self.note], name="history_comment", **now)

    @property
    def inputs(self) -> list[Any]:
        filters = [self.prompt, self.model, self.node, self.stars_given, self.status, self.text]
        return [self.offset, self.chosen, *filters]

    @property
    def detail(self) -> list[Any]:
        shown = [self.head, self.page, self.feedback, self.stars, self.comment, self.note]
        return [self.chosen, *shown, self.compare, *self.forget.outputs]

    @property
    def listing(self) -> list[Any]:
        return [self.offset, self.list, self.place, self.newer, self.older, self.links]

    @property
    def outputs(self) -> list[Any]:
        return [self.prompt, self.model, self.node, self.scope, *self.listing]

    @requires(HISTORY)
    async def opened(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The tab is opened or refreshed: what can be filtered for may have changed, too."""
        principal = principal_of(request)
        facets = await self._orchestrator.facets(principal)
        known = zip(("prompt", "model", "node"), (facets.prompts, facets.models, facets.nodes), filters, strict=False)
        choices = [choices_of(name, found, held) for name, found, held in known]
        return [*choices, _scope(principal), *await self._page(offset, chosen, filters, principal)]

    @requires(HISTORY)
    async def first(self, _offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The first page of what fits the filters."""
        return await self._page(0, chosen, filters, principal_of(request))

    @requires(HISTORY)
    async def go_newer(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The page before."""
        return await self._page(offset - PAGE, chosen, filters, principal_of(request))

    @requires(HISTORY)
    async def go_older(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """The page after."""
        return await self._page(offset + PAGE, chosen, filters, principal_of(request))

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

    @requires(HISTORY)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Show all that is known of a request."""
        principal = principal_of(request)
        return self._shown(await self._orchestrator.request(picked_item(event), principal), principal)

    def _shown(self, entry: Entry, principal: Principal, note: str = "") -> list[Any]:
        """Updates of `detail`; whoever asked may delete the texts once the request is over."""
        row, may_rate = entry.outcome, RATE in principal.rights
        own = row.principal == principal.id and row.status != "running"
        return [
            row.request_id,
            entry_page.head(entry),
            entry_page.body(entry),
            gr.update(visible=may_rate),
            update_stars(entry.stars, enabled=may_rate),
            entry.comment or "",
            note,
            gr.update(visible=_may_compare(row, principal)),
            *self.forget.show(own and (entry_page.kept(row) or bool(entry.comment))),
        ]

    @requires(HISTORY)
    async def delete(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Delete the texts of the open request."""
        principal = principal_of(request)
        count = await self._orchestrator.accounts.forget([chosen], principal)
        if not count:
            raise NotFoundError("There is no such request of yours.", param="request_id")
        shown = self._shown(await self._orchestrator.request(chosen, principal), principal, DELETED)
        return [*shown, *await self._page(offset, chosen, filters, principal)]

    @requires(RATE)
    async def rate(self, stars: Any, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Save the stars of the open request, and show them in the list."""
        await self._orchestrator.rate(chosen, parse_stars(stars), principal_of(request))
        return [RATING_SAVED, *await self._page(offset, chosen, filters, principal_of(request))]

    @requires(RATE)
    async def remark(self, chosen: str, text: str | None, request: gr.Request) -> Any:
        """Save the comment on the open request."""
        await self._orchestrator.comment(chosen, str(text or ""), principal_of(request))
        return RATING_SAVED


def _place(offset: int, last: int, total: int) -> Markup:
    shown = f"{offset + 1:,}–{last:,} of {total:,}" if total else "no requests"
    return el("span", shown, cls="muted", role="status")


def label(principal: Principal) -> str:
    """What the tab is called for somebody."""
    return "History" if HISTORY_ALL in principal.rights else "Own history"


def _may_compare(row: Outcome, principal: Principal) -> bool:
    """Whether the inputs of a request can be taken to the tab where they are compared."""
    able = principal.rights >= {RUN, PROMPTS} and "compare" in principal.tabs
    return able and bool(row.prompt) and entry_page.kept(row)


def _scope(principal: Principal) -> Markup:
    everybody = HISTORY_ALL in principal.rights
    return el("span", "Requests of everybody." if everybody else "Only your own requests.", cls="muted")
