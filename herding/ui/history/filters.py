"""The filters of the history: the form, its fields in the address, and the downloads that apply them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from herding.access.operations import HISTORY_ALL
from herding.store import Facets, now_ms
from herding.ui.kit.fields import button, select_field, text_field
from herding.ui.kit.format import KINDS, STATUS, el, join
from herding.ui.kit.period import CUSTOM, period_fields, read_period
from herding.ui.kit.views import Call
from herding.values import HistoryFilter, HistorySort, Principal, SortName

LIST = "ui/history/list"
FORM = "#history-filters"
TARGET = "#history-list"
ANY = ""
MAX_TEXT = 1000
KIND = ":"
"""In front of a kind of request among the prompts; no key of a prompt begins with it."""

FILTER_KINDS = {**KINDS, "chain": "Chains", "step": "Steps of chains"}
"""The kinds of requests that can be filtered for. The steps of chains are listed only then."""

RATED, COMMENTED = "rated", "commented"
RATINGS = [
    ("Any rating", ANY),
    *((f"{'★' * n} {n}", str(n)) for n in (5, 4, 3, 2, 1)),
    ("Rated", RATED),
    ("Not rated", "0"),
    ("With a comment", COMMENTED),
]
SORTS: dict[SortName, str] = {
    "time": "Time",
    "stars": "Rating",
    "latency": "Latency",
    "tokens": "Tokens",
    "cost": "Cost",
}
_ASCENDING = "-asc"
_ENDS: dict[SortName, tuple[str, str]] = {
    "time": ("newest first", "oldest first"),
    "stars": ("best first", "worst first"),
    "latency": ("slowest first", "fastest first"),
    "tokens": ("most first", "fewest first"),
    "cost": ("highest first", "lowest first"),
}
FIELDS = ("text", "prompt", "version", "model", "node", "user", "stars", "status", "period", "from", "to", "sort")
"""The fields that the address keeps."""

_FOLDED = tuple(name for name in FIELDS if name not in ("text", "sort"))
_NAMES = {
    "principal": "user",
    "prompt": "prompt",
    "version": "version",
    "kind": "kind",
    "model": "model",
    "node": "node",
    "stars": "stars",
    "rated": "rated",
    "commented": "commented",
    "status": "status",
    "since": "from",
    "until": "to",
    "text": "text",
    "steps": "steps",
}
"""The fields of a filter that the page has, and the parameter of the API for each."""


def read_filter(call: Call) -> HistoryFilter:
    """Return the filter of the fields; empty and unknown values include everything. Raises UserError."""
    prompt, stars, status = call.text("prompt"), call.text("stars"), call.text("status")
    since, until = read_period(call.text("period"), call.text("from"), call.text("to"), now_ms())
    kind = prompt.removeprefix(KIND) if prompt.startswith(KIND) else None
    return HistoryFilter(
        principal=call.text("user") or None,
        prompt=None if kind else prompt or None,
        kind=kind if kind in FILTER_KINDS else None,  # type: ignore[arg-type]  # a key of FILTER_KINDS is a kind
        steps=None if kind == "step" else False,
        version=call.whole("version") or None,
        model=call.text("model") or None,
        node=call.text("node") or None,
        stars=int(stars) if stars in tuple("012345") else None,
        rated=True if stars == RATED else None,
        commented=True if stars == COMMENTED else None,
        status=status if status in STATUS else None,  # type: ignore[arg-type]  # a key of STATUS is a status
        since=since,
        until=until,
        text=call.text("text").strip()[:MAX_TEXT] or None,
    )


def read_sort(call: Call) -> HistorySort:
    """Return the order of the fields, newest first for an unknown one."""
    given = call.text("sort")
    name = given.removesuffix(_ASCENDING)
    known = next((by for by in SORTS if by == name), None)
    return HistorySort(known, given.endswith(_ASCENDING)) if known else HistorySort()


def written_sort(sort: HistorySort) -> str:
    """Return an order as the address has it; empty for newest first."""
    return "" if sort == HistorySort() else f"{sort.by}{_ASCENDING if sort.ascending else ''}"


def address(call: Call) -> dict[str, str]:
    """Return the fields that the address keeps."""
    kept = {name: call.text(name).strip() for name in FIELDS}
    if kept["period"] != CUSTOM:
        kept["from"] = kept["to"] = ""
    return kept | {"sort": written_sort(read_sort(call))}


def of_address(call: Call) -> dict[str, str]:
    """Return the fields in the address of the page that asks, for links which leave the list as it is."""
    found = {name: next(iter(call.address.get(name, ())), "") or call.text(name) for name in FIELDS}
    return {name: value for name, value in found.items() if value}


def form(call: Call, facets: Facets, who: Principal) -> Markup:
    """Return the fields; those of a narrow screen are folded."""
    kinds = [f"{KIND}{kind}" for kind in FILTER_KINDS if kind in facets.kinds]
    statuses = [("Any status", ANY), *((label, status) for status, (label, _) in STATUS.items())]
    more = [
        _select(call, "Prompt", "prompt", (*kinds, *facets.prompts)),
        text_field("Version", "version", call.text("version"), kind="number", min="1", step="1", placeholder="Any",
                   id="history-version"),
        _select(call, "Model", "model", facets.models),
        _select(call, "Node", "node", facets.nodes),
        _select(call, "User", "user", facets.users) if HISTORY_ALL in who.rights else None,
        select_field("Rating", "stars", RATINGS, call.text("stars"), id="history-stars"),
        select_field("Status", "status", statuses, call.text("status"), id="history-status"),
        period_fields("history", call.text("period"), call.text("from"), call.text("to")),
    ]  # fmt: skip
    search = text_field(
        "Search",
        "text",
        call.text("text"),
        kind="search",
        hidden_label=True,
        maxlength=str(MAX_TEXT),
        placeholder="Search in variables, input, response, error or comments",
        id="history-text",
    )
    used = sum(1 for name in _FOLDED if call.text(name))
    head = el("summary", "Filters", f" ({used})" if used else None, cls="btn")
    return el(
        "form",
        el("div", search, sort_field(read_sort(call)), cls="history-search"),
        el("details", head, el("div", *more, cls="filters-row"), cls="history-more"),
        id="history-filters",
        cls="history-filters",
        hx_get=LIST,
        hx_target=TARGET,
        hx_trigger="input delay:250ms, submit, shown from:closest .view",
        hx_sync="this:replace",
        role="search",
    )


def sort_field(sort: HistorySort, *, swap: bool = False) -> Markup:
    """Return the list of orders, which a narrow screen shows; `swap` replaces the one on the page."""
    options = [
        (f"{label}, {end}", written_sort(HistorySort(by, bool(ascending))))
        for by, label in SORTS.items()
        for ascending, end in enumerate(_ENDS[by])
    ]
    field = select_field("Sort by", "sort", options, written_sort(sort), hidden_label=True, id="history-sort")
    return el("div", field, id="history-order", cls="history-order", hx_swap_oob="true" if swap else None)


def sort_button(by: SortName, sort: HistorySort, label: str = "") -> Markup:
    """Return the head of a column that sorts by it; a second press turns the order around."""
    current = by == sort.by
    other = HistorySort(by, current and not sort.ascending)
    mark = el("span", "↑" if sort.ascending else "↓", aria_hidden="true") if current else None
    head = button(
        join([label or SORTS[by], mark]),
        cls="sort",
        id=f"history-sort-{by}",
        title=f"Sort by {SORTS[by].lower()}, {_ENDS[by][other.ascending]}",
        value=written_sort(other),
        data_sets="history-sort",
    )
    way = ("ascending" if sort.ascending else "descending") if current else None
    number = "number" if by in ("latency", "tokens", "cost") else ""
    return el("th", head, scope="col", cls=number, aria_sort=way)


def download_links(where: HistoryFilter) -> Markup:
    """Return links that download all matching requests."""
    found = {field: value for field in _NAMES if (value := getattr(where, field)) is not None}
    given = {_NAMES[field]: _written(field, value) for field, value in found.items()}
    query = f"?{urlencode(given)}" if given else ""
    links = [
        el("a", kind.upper(), href=f"api/v1/history.{kind}{query}", download=f"history.{kind}")
        for kind in ("csv", "jsonl")
    ]
    return el("nav", el("span", "Download", cls="muted"), *links, cls="history-export", aria_label="Download")


def _select(call: Call, label: str, name: str, found: tuple[str, ...]) -> Markup:
    """Return a filter; the current value stays even if no request has it any more."""
    value = call.text(name)
    known = dict.fromkeys([*found, value] if value else found)
    options = [(f"Any {label.lower()}", ANY), *((_label(item), item) for item in known)]
    return select_field(label, name, options, value, id=f"history-{name}")


def _label(item: str) -> str:
    return FILTER_KINDS.get(item.removeprefix(KIND), item) if item.startswith(KIND) else item


def _written(field: str, value: Any) -> str:
    if field in ("since", "until"):
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else str(value)
