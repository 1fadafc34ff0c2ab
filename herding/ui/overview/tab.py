"""The tab "Overview": all prompts at a glance, and all about one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import RUN
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import chip, date_tag, el, empty_state, join, mean_rating, plural
from herding.ui.kit.picklist import pick_list, picked_item
from herding.ui.overview import prompt_page
from herding.ui.overview import search as finding
from herding.ui.overview.search import ANY_TAG, NAME, ORDERS, PAGE, TOP, Found, Wish, find
from herding.ui.versions import conflicts
from herding.values import PromptInfo

NOT_CHOSEN = empty_state("Nothing chosen", "Choose a prompt of the list to see its variables, template and checks.")

# The address keeps what is looked for, so that it can be kept or shared; what is as it is at first is left out.
_REMEMBER = """(value) => {
  const url = new URL(window.location);
  if (value && value !== "%s") url.searchParams.set("%s", value);
  else url.searchParams.delete("%s");
  window.history.replaceState(null, "", url);
}"""


class Overview:
    """Layout of the tab, and its handlers.

    `chosen` is the key of the prompt whose page is open, `folder` the one that is open, `drawn` how many cards may be
    drawn.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.chosen, self.folder, self.drawn = gr.State(""), gr.State(TOP), gr.State(PAGE)
        self._build_filters()
        self.broken = gr.HTML(elem_id="overview-broken", visible=False)
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=6, min_width=320):
                self.folders = pick_list("overview-folders")
                self.list = pick_list("overview-list")
                self.more = gr.Button("Show more", size="sm", visible=False, elem_id="overview-more")
            with gr.Column(scale=5, min_width=320, elem_id="overview-detail", elem_classes=["detail"]):
                with gr.Row(elem_classes=["answers"]):
                    self.open = gr.Button(
                        "Open in engineer", variant="primary", size="sm", visible=False, elem_id="overview-open"
                    )
                    self.versions = gr.Button("Versions", size="sm", visible=False, elem_id="overview-versions")
                self.page = gr.HTML(NOT_CHOSEN, elem_id="overview-page")
        self._wire()

    def _build_filters(self) -> None:
        with gr.Row(elem_classes=["filters"]):
            self.search = gr.Textbox(
                label="Search",
                placeholder="Words of its name, key, description, tags or text",
                interactive=True,
                scale=3,
                min_width=220,
                elem_id="overview-search",
            )
            self.tag = gr.Dropdown(
                [("any tag", ANY_TAG)],
                value=ANY_TAG,
                label="Tag",
                interactive=True,
                scale=1,
                min_width=140,
                elem_id="overview-tag",
            )
            orders = [(label, order) for order, (label, _) in ORDERS.items()]
            self.order = gr.Dropdown(
                orders,
                value=NAME,
                label="Sort by",
                interactive=True,
                scale=1,
                min_width=140,
                elem_id="overview-order",
            )

    def _wire(self) -> None:
        now = {"queue": False, "trigger_mode": "always_last"}
        changed = [self.search.change, self.tag.input, self.order.change]
        on(changed, self.filtered, self.filters, self.outputs, name="overview_filter", **now)
        on(self.folders.pick, self.enter, self.filters, self.outputs, name="overview_folder", **now)
        on(self.more.click, self.show_more, self.filters, self.outputs, name="overview_more", queue=False)
        chosen = [self.chosen, self.page, self.open, self.versions]
        on(self.list.pick, self.pick, [], chosen, name="overview_pick", queue=False, trigger_mode="multiple")
        self.search.change(None, [self.search], None, js=_REMEMBER % ("", "q", "q"))
        self.order.change(None, [self.order], None, js=_REMEMBER % (NAME, "sort", "sort"))

    @property
    def filters(self) -> list[Any]:
        return [self.search, self.tag, self.order, self.folder, self.drawn, self.chosen]

    @property
    def outputs(self) -> list[Any]:
        return [self.list, self.folders, self.more, self.folder, self.drawn, self.tag, self.broken]

    @property
    def addressed(self) -> list[Any]:
        """What the page's address tells."""
        return [self.search, self.order]

    def from_address(self, query: Mapping[str, str]) -> list[Any]:
        """Updates of `addressed`."""
        wish = Wish.of(query.get("q"), None, query.get("sort"), None)
        return [wish.search or gr.skip(), wish.order if wish.order != NAME else gr.skip()]

    @requires(RUN)
    async def listed(self, request: gr.Request, *filters: Any) -> list[Any]:
        """The prompts that fit the filters, as they are now."""
        return await self._show(filters, request)

    async def _show(
        self, filters: tuple[Any, ...], request: gr.Request, *, folder: str | None = None, more: int | None = None
    ) -> list[Any]:
        """Updates of `outputs`; `folder` is one that is turned to, `more` how many cards are to be drawn."""
        search, tag, order, at, drawn, chosen = filters
        principal = principal_of(request)
        prompts = await self._orchestrator.prompts.list_all(principal)
        broken = prompt_text.load_errors(await self._orchestrator.prompts.broken(principal))
        clashes = await conflicts.overview_banner(self._orchestrator.studio, principal)
        tags = sorted({tag for prompt in prompts for tag in prompt.tags})
        wish = Wish.of(search, tag if tag in tags else ANY_TAG, order, folder or at)
        if not any(finding.within(prompt.key, wish.folder) for prompt in prompts):
            wish = Wish(wish.search, wish.tag, wish.order)
        found = find(prompts, wish)
        most = more or int(drawn)
        choices = [("any tag", ANY_TAG), *((tag, tag) for tag in tags)]
        left = len(found.prompts) - most
        label = f"Show {min(PAGE, left)} more"
        return [
            cards(found, wish, chosen, total=len(prompts), most=most),
            finding.tree(found, wish.folder),
            gr.update(value=label, visible=True) if left > 0 else gr.update(visible=False),
            wish.folder,
            most,
            gr.update(choices=choices, value=wish.tag),
            gr.update(value=join([broken, clashes]), visible=bool(broken or clashes)),
        ]

    @requires(RUN)
    async def filtered(self, request: gr.Request, *filters: Any) -> list[Any]:
        """The first of those that fit other filters."""
        return await self._show(filters, request, more=PAGE)

    @requires(RUN)
    async def enter(self, request: gr.Request, event: gr.EventData, *filters: Any) -> list[Any]:
        """The first of those in another folder."""
        return await self._show(filters, request, folder=picked_item(event), more=PAGE)

    @requires(RUN)
    async def show_more(self, request: gr.Request, *filters: Any) -> list[Any]:
        """Some more of those that fit."""
        return await self._show(filters, request, more=int(filters[4]) + PAGE)

    @requires(RUN)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Open the page of a prompt."""
        key = picked_item(event)
        principal = principal_of(request)
        prompts = await self._orchestrator.prompts.list_all(principal)
        found = next((prompt for prompt in prompts if prompt.key == key), None)
        if found is None:
            raise NotFoundError(f"There is no prompt '{key}' any more.", param="prompt")
        may_look = gr.update(visible="versions" in principal.tabs)
        return [key, prompt_page.page(found), gr.update(visible=True), may_look]

    @requires(RUN)
    async def to_engineer(self, chosen: str) -> list[Any]:
        """Turn to the first tab with the prompt whose page is open."""
        return [gr.update(selected="engineer"), gr.update(value=chosen) if chosen else gr.skip()]

    @requires(RUN)
    async def open_card(self, event: gr.EventData) -> list[Any]:
        """Turn to the first tab with the prompt of a card."""
        return [gr.update(selected="engineer"), gr.update(value=picked_item(event))]


def cards(found: Found, wish: Wish, chosen: str, *, total: int, most: int) -> Markup:
    """The list of prompts, at most `most` of them."""
    if not total:
        return empty_state("No prompts yet", "Put a YAML file into the prompts directory; it appears here.")
    if not found.prompts:
        return _nothing(found, wish)
    fit, shown = len(found.prompts), found.prompts[:most]
    count = plural(total, "prompt") if fit == total else f"{fit:,} of {plural(total, 'prompt')}"
    first = f"; the first {len(shown):,} are shown" if len(shown) < fit else ""
    head = el("p", count, first, cls="muted count", role="status")
    drawn = [card(prompt, current=prompt.key == chosen) for prompt in shown]
    return join([head, el("ul", *drawn, cls="cards", data_detail="overview-detail")])


def _nothing(found: Found, wish: Wish) -> Markup:
    """What stands where no prompt fits."""
    if elsewhere := len(found.everywhere):
        what = f"{plural(elsewhere, 'prompt')} elsewhere: choose All above."
        return empty_state(f"No prompt in {wish.folder} fits", what)
    if wish.search:
        return empty_state("No prompt fits", "All words must occur in it. Search for fewer, or choose another tag.")
    return empty_state("No prompt fits", "Change the search, or choose another tag.")


def card(prompt: PromptInfo, *, current: bool = False) -> Markup:
    """One prompt of the list."""
    name = el("button", prompt.name, type="button", cls="card-name", data_pick=prompt.key)
    opens = el(
        "button",
        "Open",
        type="button",
        cls="card-open",
        data_open=prompt.key,
        title="Open in engineer",
        aria_label=f"Open {prompt.name} in engineer",
    )
    head = el(
        "div",
        el("h3", name),
        el("code", prompt.key, cls="muted"),
        prompt_text.label_chip(prompt),
        opens,
        cls="card-head",
    )
    stats = prompt.stats
    uses = el("span", plural(stats.uses, "use"))
    last = el("span", "last ", date_tag(stats.last_used_at)) if stats.last_used_at is not None else None
    foot = el(
        "div", uses, last, mean_rating(stats.mean_stars, stats.rated), prompt_text.tag_chips(prompt), cls="card-foot"
    )
    words = el("p", prompt.description, cls="card-words") if prompt.description else None
    return el(
        "li", head, words, models(prompt), foot, cls="card", data_row="", aria_current="true" if current else None
    )


def models(prompt: PromptInfo) -> Markup:
    """The target models: those that a node serves now stand out."""
    served = [prompt.served.get(model, ()) for model in prompt.target_models]
    shown = [
        chip(join([model, " · ", ", ".join(nodes)]), "good", title="served now")
        if nodes
        else chip(model, title="not up")
        for model, nodes in zip(prompt.target_models, served, strict=True)
    ]
    return el("div", *shown, cls="chips models")
