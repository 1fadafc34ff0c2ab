"""The tab "Overview": all prompts at a glance, and all about one of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gradio as gr

from herding.access.operations import RUN
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui import about, prompt_page
from herding.ui.format import Html, chip, el, empty, join, mean, plural
from herding.ui.guard import needs, on, who
from herding.ui.picklist import pick_list, picked
from herding.values import PromptInfo

ANY_TAG = ""
NOT_CHOSEN = empty("Nothing chosen", "Choose a prompt of the list to see its variables, template and contract.")


class Overview:
    """Layout of the tab, and its handlers. `chosen` is the key of the prompt whose page is open."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.chosen = gr.State("")
        with gr.Row(elem_classes=["filters"]):
            self.search = gr.Textbox(
                label="Search",
                placeholder="Name, key, description",
                interactive=True,
                scale=3,
                elem_id="overview-search",
            )
            self.tag = gr.Dropdown(
                [("any tag", ANY_TAG)], value=ANY_TAG, label="Tag", interactive=True, scale=1, elem_id="overview-tag"
            )
        self.broken = gr.HTML(elem_id="overview-broken", visible=False)
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=6, min_width=320):
                self.list = pick_list("overview-list")
            with gr.Column(scale=5, min_width=320, elem_id="overview-detail", elem_classes=["detail"]):
                self.open = gr.Button(
                    "Open in engineer", variant="primary", size="sm", visible=False, elem_id="overview-open"
                )
                self.page = gr.HTML(NOT_CHOSEN, elem_id="overview-page")
        self._wire()

    def _wire(self) -> None:
        filters, listed = [self.search, self.tag, self.chosen], [self.list, self.tag, self.broken]
        now = {"queue": False, "trigger_mode": "always_last"}
        on([self.search.change, self.tag.input], self.listed, filters, listed, name="overview_filter", **now)
        chosen = [self.chosen, self.page, self.open]
        on(self.list.pick, self.pick, [], chosen, name="overview_pick", queue=False, trigger_mode="multiple")

    @property
    def filters(self) -> list[Any]:
        return [self.search, self.tag, self.chosen]

    @property
    def outputs(self) -> list[Any]:
        return [self.list, self.tag, self.broken]

    @needs(RUN)
    async def listed(self, search: str | None, tag: str | None, chosen: str, request: gr.Request) -> list[Any]:
        """The prompts that fit the filters, as they are now."""
        principal = who(request)
        prompts = await self._orchestrator.prompts(principal)
        broken = about.broken(await self._orchestrator.broken_prompts(principal))
        tags = sorted({tag for prompt in prompts for tag in prompt.tags})
        tag = tag if tag in tags else ANY_TAG
        found = [prompt for prompt in prompts if _fits(prompt, search or "", tag or "")]
        choices = [("any tag", ANY_TAG), *((tag, tag) for tag in tags)]
        shown = cards(found, chosen, total=len(prompts))
        return [shown, gr.update(choices=choices, value=tag), gr.update(value=broken, visible=bool(broken))]

    @needs(RUN)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Open the page of a prompt."""
        key = picked(event)
        prompts = await self._orchestrator.prompts(who(request))
        found = next((prompt for prompt in prompts if prompt.key == key), None)
        if found is None:
            raise NotFoundError(f"There is no prompt '{key}' any more.", param="prompt")
        return [key, prompt_page.page(found), gr.update(visible=True)]

    @needs(RUN)
    async def to_engineer(self, chosen: str) -> list[Any]:
        """Turn to the first tab with the prompt whose page is open."""
        return [gr.update(selected="engineer"), gr.update(value=chosen) if chosen else gr.skip()]

    @needs(RUN)
    async def open_card(self, event: gr.EventData) -> list[Any]:
        """Turn to the first tab with the prompt of a card."""
        return [gr.update(selected="engineer"), gr.update(value=picked(event))]


def cards(prompts: Iterable[PromptInfo], chosen: str, *, total: int) -> Html:
    """The list of prompts."""
    shown = [card(prompt, current=prompt.key == chosen) for prompt in prompts]
    if not total:
        return empty("No prompts yet", "Put a YAML file into the prompts directory; it appears here.")
    if not shown:
        return empty("No prompt fits", "Change the search, or choose another tag.")
    count = plural(total, "prompt") if len(shown) == total else f"{len(shown)} of {plural(total, 'prompt')}"
    head = el("p", count, cls="muted count", role="status")
    return join([head, el("ul", *shown, cls="cards", data_detail="overview-detail")])


def card(prompt: PromptInfo, *, current: bool = False) -> Html:
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
    head = el("div", el("h3", name), el("code", prompt.key, cls="muted"), about.label(prompt), opens, cls="card-head")
    uses = plural(prompt.stats.uses, "use")
    foot = el(
        "div", el("span", uses), mean(prompt.stats.mean_stars, prompt.stats.rated), about.tags(prompt), cls="card-foot"
    )
    words = el("p", prompt.description, cls="card-words") if prompt.description else None
    return el(
        "li", head, words, models(prompt), foot, cls="card", data_row="", aria_current="true" if current else None
    )


def models(prompt: PromptInfo) -> Html:
    """The target models: those that a node serves now stand out."""
    served = [prompt.served.get(model, ()) for model in prompt.target_models]
    shown = [
        chip(join([model, " · ", ", ".join(nodes)]), "good", title="served now")
        if nodes
        else chip(model, title="not up")
        for model, nodes in zip(prompt.target_models, served, strict=True)
    ]
    return el("div", *shown, cls="chips models")


def _fits(prompt: PromptInfo, search: str, tag: str) -> bool:
    texts = (prompt.name, prompt.key, prompt.description, *prompt.tags)
    words = search.casefold().split()
    found = all(any(word in text.casefold() for text in texts) for word in words)
    return found and (not tag or tag in prompt.tags)
