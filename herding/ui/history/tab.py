"""The layout of the History tab, and its handlers."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import HISTORY, HISTORY_ALL, PROMPTS, RATE, RUN
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.store import now_ms
from herding.ui.history.entries import details, has_content, head, table
from herding.ui.history.filters import (
    ANY,
    RATINGS,
    download_links,
    filter_choices,
    filter_picker,
    kind_choices,
    read_filter,
)
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import STATUS, el, empty_state, success
from herding.ui.kit.latest import choice_key, shown_field
from herding.ui.kit.period import PeriodPicker
from herding.ui.kit.picklist import pick_list, picked_item
from herding.ui.kit.stars import RATING_SAVED, parse_stars, star_rating, update_stars
from herding.ui.kit.tab import Tab
from herding.values import Entry, HistoryFilter, Outcome, Page, Principal

PAGE = 25
NOT_SELECTED = empty_state("Nothing selected", "Select a request to see its input, response and metrics.")
DELETE_QUESTION = (
    "This deletes the variables, input, response, error and comments of this request. "
    "Counts, timings and ratings are kept. This can't be undone."
)
DELETED = success("Content deleted.")


class HistoryTab(Tab):
    """The tab; `offset` is the first row of the page, `chosen` the id of the open request."""

    key = "history"
    label = "History"
    rights = frozenset({HISTORY})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.offset, self.chosen, self.shown = gr.State(0), gr.State(""), shown_field("history-shown")
        self._build_filters()
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=7, min_width=320):
                self.list = pick_list("history-list")
                with gr.Row(elem_classes=["pager"]):
                    self.newer = gr.Button("‹ Newer", size="sm", scale=0, min_width=100, elem_id="history-prev")
                    self.place = gr.HTML(elem_id="history-place")
                    self.older = gr.Button("Older ›", size="sm", scale=0, min_width=100, elem_id="history-next")
            with gr.Column(scale=5, min_width=320, elem_id="history-detail", elem_classes=["detail"]):
                self.head = gr.HTML(NOT_SELECTED, elem_id="history-head")
                self.compare = gr.Button("Open in Compare", size="sm", visible=False, elem_id="history-compare")
                self._build_feedback()
                self.page = gr.HTML(elem_id="history-page")
                self.forget = ConfirmButton(
                    "Delete content", DELETE_QUESTION, "Delete", right=HISTORY, name="forget", elem_id="forget"
                )
        self._wire()

    def _build_filters(self) -> None:
        with gr.Row(elem_classes=["filters", "many"]):
            self.prompt = filter_picker("Prompt", "Any prompt", "history-prompt")
            self.model = filter_picker("Model", "Any model", "history-model")
            self.node = filter_picker("Node", "Any node", "history-node")
            self.user = filter_picker("User", "Any user", "history-user")
            self.stars_given = gr.Dropdown(
                RATINGS, value=ANY, label="Rating", interactive=True, min_width=120, elem_id="history-stars-filter"
            )
            statuses = [("Any status", ANY), *((label, status) for status, (label, _) in STATUS.items())]
            self.status = gr.Dropdown(
                statuses, value=ANY, label="Status", interactive=True, min_width=120, elem_id="history-status"
            )
            self.period = PeriodPicker("history", right=HISTORY, name="history")
            self.text = gr.Textbox(
                label="Text",
                placeholder="Press Enter",
                interactive=True,
                min_width=170,
                elem_id="history-text",
            )
        with gr.Row(elem_classes=["toolbar"]):
            self.scope = gr.HTML(elem_id="history-scope")
            self.refresh = gr.Button("Refresh", size="sm", scale=0, min_width=100, elem_id="history-refresh")
            self.links = gr.HTML(elem_id="history-export")

    def _build_feedback(self) -> None:
        with gr.Column(visible=False, elem_id="history-feedback", elem_classes=["feedback"]) as self.feedback:
            self.stars = star_rating("history-stars", "Rate this response")
            with gr.Row(elem_classes=["comment-row"]):
                self.comment = gr.Textbox(
                    label="Comment", lines=2, max_lines=6, interactive=True, scale=5, elem_id="history-comment"
                )
                self.save = gr.Button("Save comment", size="sm", scale=0, min_width=130, elem_id="history-comment-save")
            self.note = gr.HTML(elem_id="history-note", elem_classes=["note"])

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        choices = [self.prompt, self.model, self.node, self.user, self.stars_given, self.status]
        first = [*(field.input for field in choices), *self.period.events, self.text.submit]
        latest = {"trigger_mode": "always_last", **now}
        on(first, self.apply_filters, self.inputs, self.listing, name="history_filter", **latest)
        checked = [self.shown, *self.inputs]
        on(self.shown.change, self.check_shown, checked, self.listing, name="history_check", **latest)
        on(self.newer.click, self.go_newer, self.inputs, self.listing, name="history_newer", **now)
        on(self.older.click, self.go_older, self.inputs, self.listing, name="history_older", **now)
        on(self.refresh.click, self.opened, self.inputs, self.outputs, name="history_refresh", **now)
        detail = self.detail
        on(self.list.pick, self.pick, [], detail, name="history_pick", trigger_mode="multiple", **now)
        deleted = [*detail, *self.listing]
        on(self.forget.yes.click, self.delete, self.inputs, deleted, name="history_forget")
        rated, inputs = [self.note, self.page, *self.listing], [self.stars, *self.inputs]
        on(self.stars.rate, self.rate, inputs, rated, name="history_rate", trigger_mode="always_last", **now)
        on(self.save.click, self.save_comment, [self.comment, *self.inputs], rated, name="history_comment", **now)

    @classmethod
    def title(cls, principal: Principal) -> str:
        return "History" if HISTORY_ALL in principal.rights else "My history"

    @property
    def inputs(self) -> list[Any]:
        choices = [self.prompt, self.model, self.node, self.user, self.stars_given, self.status]
        return [self.offset, self.chosen, *choices, *self.period.fields, self.text]

    @property
    def detail(self) -> list[Any]:
        parts = [self.head, self.page, self.feedback, self.stars, self.comment, self.note]
        return [self.chosen, *parts, self.compare, *self.forget.outputs]

    @property
    def listing(self) -> list[Any]:
        return [self.shown, self.offset, self.list, self.place, self.newer, self.older, self.links]

    @property
    def open_inputs(self) -> list[Any]:
        return self.inputs

    @property
    def outputs(self) -> list[Any]:
        return [self.prompt, self.model, self.node, self.user, self.scope, *self.listing]

    @requires(HISTORY)
    async def opened(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Open or refresh the tab, with the current choices of the filters."""
        principal = principal_of(request)
        facets = await self._orchestrator.history.facets(principal)
        prompts = (*kind_choices(facets.kinds), *facets.prompts)
        found = {"prompt": prompts, "model": facets.models, "node": facets.nodes, "user": facets.users}
        choices = [filter_choices(name, found[name], value) for name, value in zip(found, filters, strict=False)]
        choices[-1] |= gr.update(visible=HISTORY_ALL in principal.rights)
        return [*choices, _scope(principal), *await self._page(offset, chosen, filters, principal)]

    @requires(HISTORY)
    async def apply_filters(self, _offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Show the first page of the matching requests."""
        return await self._page(0, chosen, filters, principal_of(request))

    @requires(HISTORY)
    async def check_shown(self, shown: str, _offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Show the requests that match the current filters, if the shown ones do not."""
        if shown == choice_key(*filters):
            return [gr.skip()] * len(self.listing)
        return await self._page(0, chosen, filters, principal_of(request))

    @requires(HISTORY)
    async def go_newer(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Show the previous page."""
        return await self._page(offset - PAGE, chosen, filters, principal_of(request))

    @requires(HISTORY)
    async def go_older(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Show the next page."""
        return await self._page(offset + PAGE, chosen, filters, principal_of(request))

    async def _page(self, offset: int, chosen: str, filters: tuple[Any, ...], principal: Principal) -> list[Any]:
        where, offset = read_filter(*filters, now=now_ms()), max(0, offset)
        page = await self._orchestrator.history.page(where, principal, offset=offset, limit=PAGE)
        if offset and not page.entries:
            offset = max(0, (page.total - 1) // PAGE * PAGE)
            page = await self._orchestrator.history.page(where, principal, offset=offset, limit=PAGE)
        last = offset + len(page.entries)
        return [
            choice_key(*filters),
            offset,
            table(page.entries, chosen, filtered=where != HistoryFilter(), users=HISTORY_ALL in principal.rights),
            _place(offset, last, page),
            gr.update(interactive=offset > 0),
            gr.update(interactive=last < page.total),
            download_links(where),
        ]

    @requires(HISTORY)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Show the details of a request."""
        principal = principal_of(request)
        return self._detail(await self._orchestrator.history.entry(picked_item(event), principal), principal)

    def _detail(self, entry: Entry, principal: Principal, note: str = "") -> list[Any]:
        """Return updates of `detail`; users may delete the content of their own finished requests."""
        row, may_rate = entry.outcome, RATE in principal.rights
        own = row.principal == principal.id and row.status != "running"
        return [
            row.request_id,
            head(entry),
            details(entry, principal.id),
            gr.update(visible=may_rate),
            update_stars(entry.stars, enabled=may_rate),
            entry.comment or "",
            note,
            gr.update(visible=_can_compare(row, principal)),
            *self.forget.show(own and (has_content(row) or bool(entry.comment))),
        ]

    @requires(HISTORY)
    async def delete(self, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Delete the content of the open request."""
        principal = principal_of(request)
        count = await self._orchestrator.accounts.forget([chosen], principal)
        if not count:
            raise NotFoundError(
                "Request not found. You can only delete the content of your own requests.", param="request_id"
            )
        shown = self._detail(await self._orchestrator.history.entry(chosen, principal), principal, DELETED)
        return [*shown, *await self._page(offset, chosen, filters, principal)]

    @requires(RATE)
    async def rate(self, stars: Any, offset: int, chosen: str, request: gr.Request, *filters: Any) -> list[Any]:
        """Save the rating of the open request, and show it in the list."""
        await self._orchestrator.feedback.rate(chosen, parse_stars(stars), principal_of(request))
        return await self._rated(offset, chosen, filters, principal_of(request))

    @requires(RATE)
    async def save_comment(
        self, text: str | None, offset: int, chosen: str, request: gr.Request, *filters: Any
    ) -> list[Any]:
        """Save the comment on the open request, and show it among the others."""
        await self._orchestrator.feedback.comment(chosen, str(text or ""), principal_of(request))
        return await self._rated(offset, chosen, filters, principal_of(request))

    async def _rated(self, offset: int, chosen: str, filters: tuple[Any, ...], principal: Principal) -> list[Any]:
        """Return updates after a change of the open request's rating, to roles that may see it."""
        if HISTORY not in principal.rights:
            return [RATING_SAVED, *[gr.skip()] * (1 + len(self.listing))]
        entry = await self._orchestrator.history.entry(chosen, principal)
        listing = await self._page(offset, chosen, filters, principal)
        return [RATING_SAVED, details(entry, principal.id), *listing]


def _place(offset: int, last: int, page: Page) -> Markup:
    total = f"{page.total:,}{' or more' if page.more else ''}"
    shown = f"{offset + 1:,}–{last:,} of {total}" if page.total else "No requests"
    return el("span", shown, cls="muted", role="status")


def _can_compare(row: Outcome, principal: Principal) -> bool:
    """Return whether a request can be opened in the Compare tab."""
    allowed = principal.rights >= {RUN, PROMPTS} and "compare" in principal.tabs
    return allowed and bool(row.prompt) and has_content(row)


def _scope(principal: Principal) -> Markup:
    text = "All users' requests" if HISTORY_ALL in principal.rights else "Your requests only"
    return el("span", text, cls="muted")
