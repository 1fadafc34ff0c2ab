"""The table of the prompts: sortable heads, and a row for each prompt."""

from __future__ import annotations

from urllib.parse import quote

from markupsafe import Markup

from herding.ui.kit.charts.chart import short_model
from herding.ui.kit.fields import button, hidden_field, row_name
from herding.ui.kit.format import chip, date_tag, el, empty_state, join, plural
from herding.ui.kit.links import tab_address
from herding.ui.overview.search import ORDERS, PAGE_SIZE, SearchQuery, SearchResult, excerpt
from herding.values import PromptInfo

LIST = "ui/overview/list"
TARGET = "#overview-list"
FORM = "#overview-filters"
MAX_TAGS = 3


def listing(found: SearchResult, query: SearchQuery, *, total: int, limit: int, current: str = "") -> Markup:
    """Return the first `limit` prompts as a table, with the order and the folder that the next request repeats."""
    kept = join(
        [
            hidden_field("sort", query.sort, id="overview-sort", form=FORM[1:]),
            hidden_field("folder", query.folder, id="overview-folder", form=FORM[1:]),
        ]
    )
    return join([kept, table(found, query, total=total, limit=limit, current=current), _more(found, limit)])


def table(found: SearchResult, query: SearchQuery, *, total: int, limit: int, current: str = "") -> Markup:
    """Return the first `limit` prompts as a table; `current` is the one whose details are shown."""
    if not total:
        return empty_state("No prompts yet", "Create one from a template, or add a YAML file to the prompts folder.")
    if not found.prompts:
        return _no_match(found, query)
    matches, shown = len(found.prompts), found.prompts[:limit]
    count = plural(total, "prompt") if matches == total else f"{matches:,} of {plural(total, 'prompt')}"
    first = f" · first {len(shown):,} shown" if len(shown) < matches else ""
    heads = [*(_head(name, query) for name in ORDERS), el("th", "Tags", scope="col", cls="tags")]
    rows = el("tbody", *(row(prompt, query.search, current=prompt.key == current) for prompt in shown))
    return join(
        [
            el("p", count, first, cls="muted count", role="status"),
            el("table", el("thead", el("tr", *heads)), rows, cls="rows overview-rows", aria_label="Prompts"),
        ]
    )


def _head(name: str, query: SearchQuery) -> Markup:
    """Return the head of a column, which sorts by it; once more, the other way round."""
    order, sorted_by = ORDERS[name], query.order == name
    direction = ("descending" if query.descending else "ascending") if sorted_by else None
    following = f"-{name}" if sorted_by and not query.reverse else name
    arrow = {"ascending": "↑", "descending": "↓", None: ""}[direction]
    sort = el(
        "button",
        order.label,
        el("span", arrow, aria_hidden="true", cls="arrow"),
        type="button",
        cls="sort",
        id=f"overview-sort-{name}",
        value=following,
        data_sets="overview-sort",
    )
    return el("th", sort, scope="col", aria_sort=direction, cls=_cell(name))


def _cell(name: str) -> str:
    return f"{name} number" if name == "use" else name


def row(prompt: PromptInfo, search: str = "", *, current: bool = False) -> Markup:
    """Return one prompt of the table."""
    key, stats = quote(prompt.key), prompt.stats
    name = row_name(
        prompt.name,
        data_row=prompt.key,
        hx_get=f"ui/overview/prompts/{key}",
        hx_target="#overview-detail",
        hx_sync="#overview-detail:replace",
    )
    opens = el("a", "Open", href=tab_address("engineer", prompt=prompt.key), cls="row-open",
               title="Open in engineer", aria_label=f"Open {prompt.name} in the prompt engineer")  # fmt: skip
    found = excerpt(prompt, search) if search else None
    below = [el("code", prompt.key), " ", found or prompt.description or ""]
    last = date_tag(stats.last_used_at) if stats.last_used_at is not None else el("span", "never", cls="muted")
    return el(
        "tr",
        el("td", el("div", name, opens, cls="row-head"), el("div", *below, cls="one-line muted"), cls="name"),
        el("td", models(prompt), cls="models"),
        el("td", f"{stats.uses:,}", cls="use number"),
        el("td", rating(prompt), cls="stars"),
        el("td", last, cls="recent"),
        el("td", published(prompt), cls="published"),
        el("td", tags(prompt), cls="tags"),
        aria_current="true" if current else None,
    )


def models(prompt: PromptInfo) -> Markup:
    """Return the first target model and the number of the others; the title names all with their nodes."""
    if not prompt.target_models and (steps := prompt.content.get("steps")):
        return el("span", plural(len(steps), "step"), cls="muted", title="A chain: the models are those of its steps")
    if not prompt.target_models:
        return el("span", "none", cls="muted")
    first, others = prompt.target_models[0], len(prompt.target_models) - 1
    lines = [f"{model}: {', '.join(prompt.served.get(model, ())) or 'not available'}" for model in prompt.target_models]
    ready = sum(bool(prompt.served.get(model)) for model in prompt.target_models)
    state = "good" if prompt.served.get(first) else "busy" if ready else "off"
    spoken = f"{ready} of {plural(others + 1, 'model')} available"
    return el(
        "span",
        el("span", cls=f"model-dot {state}", aria_hidden="true"),
        el("span", short_model(first), cls="one-line"),
        el("span", f"+{others}", cls="muted") if others else None,
        el("span", spoken, cls="sr"),
        cls="overview-models",
        title="\n".join(lines),
    )


def rating(prompt: PromptInfo) -> Markup:
    """Return the mean of the stars with the number of ratings."""
    mean, count = prompt.stats.mean_stars, prompt.stats.rated
    if mean is None:
        return el("span", "–", el("span", "not rated", cls="sr"), cls="muted")
    star = el("span", "★ ", cls="lit", aria_hidden="true")
    spoken = el("span", " of 5 stars", cls="sr")
    return el("span", star, f"{mean:.1f}", spoken, el("span", f" n={count:,}", cls="muted"))


def published(prompt: PromptInfo) -> Markup:
    """Return the published version, and the latest one if that is another."""
    live = prompt.labels.get("prod")
    if live is None:
        return el("span", f"latest v{prompt.newest}" if prompt.newest else "–", cls="muted", title="Not published")
    latest = el("span", f" latest v{prompt.newest}", cls="muted") if prompt.newest > live else None
    return el("span", chip(f"v{live}", "good", title="Published: the label prod stands for this version"), latest)


def tags(prompt: PromptInfo) -> Markup:
    """Return the first tags, and the number of the others."""
    more = len(prompt.tags) - MAX_TAGS
    rest = el("span", f"+{more}", cls="muted", title=", ".join(prompt.tags[MAX_TAGS:])) if more > 0 else None
    chat = chip("Chat", "accent") if prompt.chat else None
    return el("span", chat, *(chip(tag) for tag in prompt.tags[:MAX_TAGS]), rest, cls="chips")


def _more(found: SearchResult, limit: int) -> Markup | None:
    left = len(found.prompts) - limit
    if left <= 0:
        return None
    return button(
        f"Show {min(PAGE_SIZE, left)} more",
        id="overview-more",
        hx_get=f"{LIST}?limit={limit + PAGE_SIZE}",
        hx_include=FORM,
        hx_target=TARGET,
        hx_sync=f"{FORM}:drop",
    )


def _no_match(found: SearchResult, query: SearchQuery) -> Markup:
    if others := len(found.everywhere):
        text = f"{plural(others, 'prompt')} in other folders. Select All above."
        return empty_state(f"No matching prompts in {query.folder}", text)
    return empty_state("No matching prompts", "Change the search or select another tag.")
