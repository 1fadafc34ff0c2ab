"""The tab "Overview": the table of all prompts, and the details of one."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.access.operations import PROMPTS, RUN
from herding.errors import NotFoundError
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import select_field, text_field
from herding.ui.kit.format import chip, date_tag, el, empty_state, join, mean_rating, plural
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.ui.overview.details import prompt_details
from herding.ui.overview.search import (
    ANY_TAG,
    NAME,
    ORDERS,
    PAGE_SIZE,
    SearchQuery,
    SearchResult,
    find,
    folder_nav,
    in_folder,
)
from herding.ui.versions import conflicts
from herding.values import Principal, PromptInfo

NOTHING_SELECTED = empty_state("Nothing selected", "Select a prompt to see its variables, template and checks.")
LIST = "ui/overview/list"


class OverviewTab(View):
    """The filters, the table, and the details beside it."""

    key = "overview"
    label = "Overview"
    rights = frozenset({RUN, PROMPTS})

    @fragment("GET", "", RUN)
    async def open(self, call: Call) -> Markup:
        """Return the whole tab, with the search that the address names."""
        prompts = await self._orchestrator.prompts.list_all(call.principal)
        errors = prompt_text.load_errors(await self._orchestrator.prompts.broken(call.principal))
        banner = await conflicts.overview_banner(self._orchestrator.studio, call.principal)
        query = read_query(call, prompts)
        listing = el("div", self._listing(prompts, query, limit=PAGE_SIZE), id="overview-list")
        aside = el("aside", NOTHING_SELECTED, id="overview-detail", cls="detail", aria_label="Details of the prompt")
        return join([errors, banner, filters(query, prompts), el("div", listing, aside, cls="split-view")])

    @fragment("GET", "/list", RUN)
    async def list(self, call: Call) -> Reply:
        """Return the table for other filters, which the address keeps."""
        prompts = await self._orchestrator.prompts.list_all(call.principal)
        query = read_query(call, prompts)
        limit = max(PAGE_SIZE, min(call.whole("limit", PAGE_SIZE), len(prompts)))
        address = {"q": query.search, "tag": query.tag, "sort": "" if query.order == NAME else query.order}
        return Reply(self._listing(prompts, query, limit=limit), address=address)

    @fragment("GET", "/prompts/{key:path}", RUN)
    async def details(self, call: Call) -> Markup:
        """Return the details of a prompt."""
        key = call.path["key"]
        prompts = await self._orchestrator.prompts.list_all(call.principal)
        found = next((prompt for prompt in prompts if prompt.key == key), None)
        if found is None:
            raise NotFoundError(f"Prompt '{key}' no longer exists.", param="prompt")
        return join([_actions(found, call.principal), prompt_details(found)])

    @staticmethod
    def _listing(prompts: Sequence[PromptInfo], query: SearchQuery, *, limit: int) -> Markup:
        found = find(prompts, query)
        left = len(found.prompts) - limit
        more = None
        if left > 0:
            more = el(
                "button",
                f"Show {min(PAGE_SIZE, left)} more",
                type="button",
                cls="btn",
                hx_get=f"{LIST}?limit={limit + PAGE_SIZE}",
                hx_include="#overview-filters",
                hx_target="#overview-list",
            )
        return join([folder_nav(found, query.folder), table(found, query, total=len(prompts), limit=limit), more])


def read_query(call: Call, prompts: Sequence[PromptInfo]) -> SearchQuery:
    """Return the filters of a request; a tag or folder that no longer exists becomes the default."""
    tags = {tag for prompt in prompts for tag in prompt.tags}
    tag = call.text("tag", ANY_TAG)
    query = SearchQuery.parse(call.text("q"), tag if tag in tags else ANY_TAG, call.text("sort"), call.text("folder"))
    if not any(in_folder(prompt.key, query.folder) for prompt in prompts):
        query = SearchQuery(query.search, query.tag, query.order)
    return query


def filters(query: SearchQuery, prompts: Sequence[PromptInfo]) -> Markup:
    """Return the form with the search, the tags and the orders."""
    tags = sorted({tag for prompt in prompts for tag in prompt.tags})
    return el(
        "form",
        text_field(
            "Search",
            "q",
            query.search,
            kind="search",
            placeholder="Name, ID, description, tag or text",
            id="overview-q",
        ),
        select_field("Tag", "tag", [("All tags", ANY_TAG), *((tag, tag) for tag in tags)], query.tag),
        select_field("Sort by", "sort", [(label, order) for order, (label, _) in ORDERS.items()], query.order),
        id="overview-filters",
        cls="filters-row",
        hx_get=LIST,
        hx_target="#overview-list",
        hx_trigger="input delay:150ms, submit, shown from:closest .view",
        hx_sync="this:replace",
    )


def table(found: SearchResult, query: SearchQuery, *, total: int, limit: int) -> Markup:
    """Return the first `limit` prompts as a table."""
    if not total:
        return empty_state("No prompts yet", "Create one in the Prompt engineer tab, or add a YAML file to the folder.")
    if not found.prompts:
        return _no_match(found, query)
    matches, shown = len(found.prompts), found.prompts[:limit]
    count = plural(total, "prompt") if matches == total else f"{matches:,} of {plural(total, 'prompt')}"
    first = f" · first {len(shown):,} shown" if len(shown) < matches else ""
    head = el("tr", *(el("th", title, scope="col") for title in ("Prompt", "Models", "Runs", "Rating", "Last used")))
    rows = el("tbody", *map(row, shown))
    return join(
        [el("p", count, first, cls="muted count", role="status"), el("table", el("thead", head), rows, cls="rows")]
    )


def row(prompt: PromptInfo) -> Markup:
    """Return one prompt of the table."""
    name = el(
        "button",
        prompt.name,
        type="button",
        cls="row-name",
        data_row=prompt.key,
        hx_get=f"ui/overview/prompts/{prompt.key}",
        hx_target="#overview-detail",
    )
    opens = el("a", "Open", href=f"?tab=engineer&prompt={prompt.key}", cls="row-open", title="Open in editor",
               aria_label=f"Open {prompt.name} in the editor")  # fmt: skip
    chips = el("span", prompt_text.label_chip(prompt), prompt_text.tag_chips(prompt), cls="chips")
    about = el("div", prompt.description, cls="one-line muted") if prompt.description else None
    stats = prompt.stats
    last = date_tag(stats.last_used_at) if stats.last_used_at is not None else el("span", "never", cls="muted")
    return el(
        "tr",
        el("td", el("div", name, chips, opens, cls="row-head"), about),
        el("td", models(prompt)),
        el("td", f"{stats.uses:,}", cls="number"),
        el("td", mean_rating(stats.mean_stars, stats.rated)),
        el("td", last),
    )


def models(prompt: PromptInfo) -> Markup:
    """Return the target models; the title names the nodes that serve them."""
    chips = []
    for model in prompt.target_models:
        nodes = prompt.served.get(model, ())
        chips.append(chip(model, "good" if nodes else "plain", title=", ".join(nodes) or "Not available"))
    return el("div", *chips, cls="chips models")


def _actions(prompt: PromptInfo, principal: Principal) -> Markup:
    versions = el("a", "Show versions", href=f"?tab=versions&prompt={prompt.key}", cls="btn")
    return el(
        "div",
        el("a", "Open in editor", href=f"?tab=engineer&prompt={prompt.key}", cls="btn primary", id="overview-open"),
        versions if "versions" in principal.tabs else None,
        cls="answers",
    )


def _no_match(found: SearchResult, query: SearchQuery) -> Markup:
    if others := len(found.everywhere):
        text = f"{plural(others, 'prompt')} in other folders. Select All above."
        return empty_state(f"No matching prompts in {query.folder}", text)
    return empty_state("No matching prompts", "Change the search or select another tag.")
