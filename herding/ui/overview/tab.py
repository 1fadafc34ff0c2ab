"""The tab "Overview": the list of all prompts, and the details of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import PROMPTS, RUN
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import chip, date_tag, el, empty_state, join, mean_rating, plural
from herding.ui.kit.picklist import pick_list, picked_item
from herding.ui.kit.tab import Tab
from herding.ui.overview.details import prompt_details
from herding.ui.overview.search import (
    ANY_TAG,
    NAME,
    ORDERS,
    PAGE_SIZE,
    TOP,
    SearchQuery,
    SearchResult,
    find,
    folder_nav,
    in_folder,
)
from herding.ui.versions import conflicts
from herding.values import PromptInfo

NOTHING_SELECTED = empty_state("Nothing selected", "Select a prompt to see its variables, template and checks.")

# The address keeps the search, so that it can be bookmarked or shared; defaults are left out.
_SET_QUERY = """(value) => {
  const url = new URL(window.location);
  if (value && value !== "%s") url.searchParams.set("%s", value);
  else url.searchParams.delete("%s");
  window.history.replaceState(null, "", url);
}"""


class OverviewTab(Tab):
    """Layout and handlers of the tab.

    `chosen` is the key of the selected prompt, `folder` the open folder, `limit` the number of cards to draw.
    """

    key = "overview"
    label = "Overview"
    rights = frozenset({RUN, PROMPTS})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.chosen, self.folder, self.limit = gr.State(""), gr.State(TOP), gr.State(PAGE_SIZE)
        self._build_filters()
        self.load_errors = gr.HTML(elem_id="overview-broken", visible=False)
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=6, min_width=320):
                self.folders = pick_list("overview-folders")
                self.list = pick_list("overview-list")
                self.more = gr.Button("Show more", size="sm", visible=False, elem_id="overview-more")
            with gr.Column(scale=5, min_width=320, elem_id="overview-detail", elem_classes=["detail"]):
                with gr.Row(elem_classes=["answers"]):
                    self.open = gr.Button(
                        "Open in editor", variant="primary", size="sm", visible=False, elem_id="overview-open"
                    )
                    self.versions = gr.Button("Show versions", size="sm", visible=False, elem_id="overview-versions")
                self.page = gr.HTML(NOTHING_SELECTED, elem_id="overview-page")
        self._wire()

    def _build_filters(self) -> None:
        with gr.Row(elem_classes=["filters"]):
            self.search = gr.Textbox(
                label="Search",
                placeholder="Name, ID, description, tag or text",
                interactive=True,
                scale=3,
                min_width=220,
                elem_id="overview-search",
            )
            self.tag = gr.Dropdown(
                [("All tags", ANY_TAG)],
                value=ANY_TAG,
                label="Tag",
                interactive=True,
                scale=1,
                min_width=140,
                elem_id="overview-tag",
            )
            self.order = gr.Dropdown(
                [(label, order) for order, (label, _) in ORDERS.items()],
                value=NAME,
                label="Sort by",
                interactive=True,
                scale=1,
                min_width=140,
                elem_id="overview-order",
            )

    def _wire(self) -> None:
        filters, outputs, latest = self.filters, self.outputs, {"queue": False, "trigger_mode": "always_last"}
        changed = [self.search.change, self.tag.input, self.order.change]
        on(changed, self.filter, filters, outputs, name="overview_filter", **latest)
        on(self.folders.pick, self.open_folder, filters, outputs, name="overview_folder", **latest)
        on(self.more.click, self.show_more, filters, outputs, name="overview_more", queue=False)
        chosen = [self.chosen, self.page, self.open, self.versions]
        on(self.list.pick, self.pick, [], chosen, name="overview_pick", queue=False, trigger_mode="multiple")
        self.search.change(None, [self.search], None, js=_SET_QUERY % ("", "q", "q"))
        self.order.change(None, [self.order], None, js=_SET_QUERY % (NAME, "sort", "sort"))

    @property
    def filters(self) -> list[Any]:
        return [self.search, self.tag, self.order, self.folder, self.limit, self.chosen]

    @property
    def open_inputs(self) -> list[Any]:
        return self.filters

    @property
    def outputs(self) -> list[Any]:
        return [self.list, self.folders, self.more, self.folder, self.limit, self.tag, self.load_errors]

    @property
    def address_fields(self) -> list[Any]:
        """The fields that the page's address fills."""
        return [self.search, self.order]

    def from_address(self, query: Mapping[str, str]) -> list[Any]:
        """Return the updates of `address_fields`."""
        found = SearchQuery.parse(query.get("q"), None, query.get("sort"), None)
        return [found.search or gr.skip(), found.order if found.order != NAME else gr.skip()]

    @requires(RUN)
    async def opened(self, request: gr.Request, *filters: Any) -> list[Any]:
        """List the prompts that match the filters now."""
        return await self._show(filters, request)

    async def _show(
        self, filters: tuple[Any, ...], request: gr.Request, *, folder: str | None = None, limit: int | None = None
    ) -> list[Any]:
        """Return the updates of `outputs`; `folder` and `limit` replace those of the filters."""
        search, tag, order, old_folder, old_limit, chosen = filters
        principal = principal_of(request)
        prompts = await self._orchestrator.prompts.list_all(principal)
        errors = prompt_text.load_errors(await self._orchestrator.prompts.broken(principal))
        banner = await conflicts.overview_banner(self._orchestrator.studio, principal)
        tags = sorted({tag for prompt in prompts for tag in prompt.tags})
        query = SearchQuery.parse(search, tag if tag in tags else ANY_TAG, order, folder or old_folder)
        if not any(in_folder(prompt.key, query.folder) for prompt in prompts):
            query = SearchQuery(query.search, query.tag, query.order)
        found = find(prompts, query)
        shown = limit or int(old_limit)
        left = len(found.prompts) - shown
        label = f"Show {min(PAGE_SIZE, left)} more"
        return [
            cards(found, query, chosen, total=len(prompts), limit=shown),
            folder_nav(found, query.folder),
            gr.update(value=label, visible=True) if left > 0 else gr.update(visible=False),
            query.folder,
            shown,
            gr.update(choices=[("All tags", ANY_TAG), *((tag, tag) for tag in tags)], value=query.tag),
            gr.update(value=join([errors, banner]), visible=bool(errors or banner)),
        ]

    @requires(RUN)
    async def filter(self, request: gr.Request, *filters: Any) -> list[Any]:
        """Show the first page for other filters."""
        return await self._show(filters, request, limit=PAGE_SIZE)

    @requires(RUN)
    async def open_folder(self, request: gr.Request, event: gr.EventData, *filters: Any) -> list[Any]:
        """Show the first page of another folder."""
        return await self._show(filters, request, folder=picked_item(event), limit=PAGE_SIZE)

    @requires(RUN)
    async def show_more(self, request: gr.Request, *filters: Any) -> list[Any]:
        """Show one more page."""
        return await self._show(filters, request, limit=int(filters[4]) + PAGE_SIZE)

    @requires(RUN)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Show the details of a prompt."""
        key, principal = picked_item(event), principal_of(request)
        prompts = await self._orchestrator.prompts.list_all(principal)
        found = next((prompt for prompt in prompts if prompt.key == key), None)
        if found is None:
            raise NotFoundError(f"Prompt '{key}' no longer exists.", param="prompt")
        return [key, prompt_details(found), gr.update(visible=True), gr.update(visible="versions" in principal.tabs)]

    @requires(RUN)
    async def to_engineer(self, chosen: str) -> list[Any]:
        """Open the selected prompt in the first tab."""
        return [gr.update(selected="engineer"), gr.update(value=chosen) if chosen else gr.skip()]

    @requires(RUN)
    async def open_card(self, event: gr.EventData) -> list[Any]:
        """Open the prompt of a card in the first tab."""
        return [gr.update(selected="engineer"), gr.update(value=picked_item(event))]


def cards(found: SearchResult, query: SearchQuery, chosen: str, *, total: int, limit: int) -> Markup:
    """Return the first `limit` prompts as cards."""
    if not total:
        return empty_state("No prompts yet", "Add a YAML file to the prompts folder.")
    if not found.prompts:
        return _no_match(found, query)
    matches, shown = len(found.prompts), found.prompts[:limit]
    count = plural(total, "prompt") if matches == total else f"{matches:,} of {plural(total, 'prompt')}"
    first = f" · first {len(shown):,} shown" if len(shown) < matches else ""
    head = el("p", count, first, cls="muted count", role="status")
    drawn = [card(prompt, current=prompt.key == chosen) for prompt in shown]
    return join([head, el("ul", *drawn, cls="cards", data_detail="overview-detail")])


def _no_match(found: SearchResult, query: SearchQuery) -> Markup:
    if others := len(found.everywhere):
        text = f"{plural(others, 'prompt')} in other folders. Select All above."
        return empty_state(f"No matching prompts in {query.folder}", text)
    return empty_state("No matching prompts", "Change the search or select another tag.")


def card(prompt: PromptInfo, *, current: bool = False) -> Markup:
    """Return one prompt of the list."""
    name = el("button", prompt.name, type="button", cls="card-name", data_pick=prompt.key)
    opens = el(
        "button",
        "Open",
        type="button",
        cls="card-open",
        data_open=prompt.key,
        title="Open in editor",
        aria_label=f"Open {prompt.name} in the editor",
    )
    label = prompt_text.label_chip(prompt)
    head = el("div", el("h3", name), el("code", prompt.key, cls="muted"), label, opens, cls="card-head")
    stats = prompt.stats
    uses = el("span", plural(stats.uses, "run"))
    last = el("span", "last ", date_tag(stats.last_used_at)) if stats.last_used_at is not None else None
    rating, tags = mean_rating(stats.mean_stars, stats.rated), prompt_text.tag_chips(prompt)
    foot = el("div", uses, last, rating, tags, cls="card-foot")
    description = el("p", prompt.description, cls="card-words") if prompt.description else None
    mark = "true" if current else None
    return el("li", head, description, models(prompt), foot, cls="card", data_row="", aria_current=mark)


def models(prompt: PromptInfo) -> Markup:
    """Return the target models with the nodes that serve them."""
    chips = []
    for model in prompt.target_models:
        nodes = prompt.served.get(model, ())
        text = join([model, " · ", ", ".join(nodes)]) if nodes else model
        chips.append(chip(text, "good", title="Available") if nodes else chip(text, title="Not available"))
    return el("div", *chips, cls="chips models")
