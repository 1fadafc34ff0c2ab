"""The requests of the history as rows, each of one or two lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from herding.errors import UserError
from herding.ui.history.filters import FORM, LIST, TARGET, sort_button
from herding.ui.kit.charts.chart import short_model
from herding.ui.kit.fields import button, row_name
from herding.ui.kit.format import (
    chip,
    cost_text,
    duration,
    el,
    empty_state,
    escape,
    join,
    rating_summary,
    request_name,
    status_chip,
    time_tag,
)
from herding.ui.kit.links import tab_address
from herding.ui.kit.live import every
from herding.ui.kit.responses.request_input import input_line
from herding.values import Entry, HistoryPosition, HistorySort, Outcome

PAGE = 40
LINE = 240
"""Characters of an input or a response in a row."""

NOT_STORED = "Content not stored"
ENTRIES = "ui/history/entries"
DETAIL = "#history-detail"
POLL = every(2)
"""The trigger of what follows a running request, while it is seen."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The look of rows: the id of the open request, the searched text, and whether users are named."""

    selected: str = ""
    text: str = ""
    users: bool = False


def table(entries: Sequence[Entry], sort: HistorySort, shown: Shown, *, end: HistoryPosition | None) -> Markup:
    """Return the requests as a table; after `end` there are more."""
    heads = [
        sort_button("time", sort, "Time"),
        el("th", "Input", scope="col"),
        el("th", "Response", scope="col"),
        el("th", "Model", scope="col"),
        sort_button("stars", sort),
        sort_button("tokens", sort),
        sort_button("latency", sort),
        sort_button("cost", sort),
        el("th", "Status", scope="col"),
    ]
    body = el("tbody", *(row(entry, shown) for entry in entries), id="history-rows")
    return join(
        [
            el("table", el("thead", el("tr", *heads)), body, cls="rows history-rows", aria_label="Requests"),
            more_button(end),
        ]
    )


def more_button(end: HistoryPosition | None, *, swap: bool = False) -> Markup:
    """Return the button that adds the rows after a position; `swap` replaces the one on the page."""
    more = button(
        "Show more",
        id="history-more",
        hx_get=f"ui/history/more?after={quote(written_position(end))}",
        hx_include=FORM,
        hx_target="#history-rows",
        hx_swap="beforeend",
        hx_sync=f"{FORM}:drop",
    ) if end else None  # fmt: skip
    return el("div", more, id="history-rest", hx_swap_oob="true" if swap else None)


def row(entry: Entry, shown: Shown) -> Markup:
    """Return one request; the row of a running one follows it."""
    outcome = entry.outcome
    request_id = outcome.request_id
    version = el("span", f" v{outcome.version}" if outcome.version else "", "*" if outcome.edited else "")
    prompt = el("span", request_name(outcome), version, cls="history-prompt")
    who = el("span", " · ", outcome.principal, cls="muted") if shown.users else None
    name = row_name(
        time_tag(outcome.created_at),
        el("span", f", {request_name(outcome)}: show details", cls="sr"),
        id=f"row-{request_id}",
        hx_get=f"{ENTRIES}/{request_id}",
        hx_target=DETAIL,
        hx_sync=f"{DETAIL}:replace",
    )
    cells = [
        el("td", name, el("div", prompt, who, cls="one-line"), cls="history-when"),
        el("td", _snippet(input_line(outcome), shown.text), cls="history-input"),
        el("td", _response(outcome, shown.text), cls="history-response"),
        el("td", el("div", short_model(outcome.model or "–"), cls="one-line", title=outcome.model),
           el("div", outcome.node or "", cls="one-line muted"), cls="history-model"),
        el("td", rating_summary(entry) if entry.ratings else None, cls="history-rating"),
        el("td", f"{outcome.usage.input_tokens:,} → {outcome.usage.output_tokens:,}", cls="number history-tokens"),
        el("td", _latency(outcome), cls="number history-latency"),
        el("td", cost_text(outcome.cost) if outcome.cost is not None else "", cls="number history-cost"),
        el("td", status_chip(outcome.status), _failure(outcome), cls="history-status"),
    ]  # fmt: skip
    follow = {"hx_get": f"ui/history/rows/{request_id}", "hx_trigger": POLL, "hx_swap": "outerHTML",
              "hx_include": FORM} if outcome.status == "running" else {}  # fmt: skip
    return el(
        "tr", *cells, data_row=request_id, aria_current="true" if request_id == shown.selected else None, **follow
    )


def no_requests(*, filtered: bool, engineer: bool) -> Markup:
    """Return what is shown instead of an empty table."""
    if filtered:
        clear = el("a", "Clear filters", href=tab_address("history"), cls="btn")
        return empty_state("No matching requests", "Change the filters, or clear them to see all requests.", clear)
    run = el("a", "Run a prompt", href=tab_address("engineer"), cls="btn primary") if engineer else None
    text = "Each run of a prompt and each API request appears here, with its input, response and metrics."
    return empty_state("No requests yet", text, *([run] if run else []))


def written_position(position: HistoryPosition) -> str:
    """Return a position as a link has it."""
    return f"{position.value!r}~{position.created_at}~{position.id}"


def read_position(text: str) -> HistoryPosition:
    """Return the position of a link. Raises UserError."""
    try:
        value, created_at, request_id = text.split("~")
        number = float(value) if "." in value or "e" in value else int(value)
        return HistoryPosition(number, int(created_at), request_id)
    except ValueError:
        raise UserError("This page is out of date. Reload it.", param="after") from None


def _response(outcome: Outcome, text: str) -> Markup:
    if not has_content(outcome):
        return el("div", NOT_STORED, cls="history-line muted")
    if not outcome.answer and outcome.error:
        return el("div", marked(outcome.error, text), cls="history-line history-error")
    return _snippet(outcome.answer or outcome.note or "", text)


def _snippet(content: str, text: str) -> Markup:
    return el("div", marked(content, text), cls="history-line")


def marked(content: str, text: str) -> Markup:
    """Return the begin of a text on one line; or the place where a searched text stands in it, which is marked."""
    at = content.casefold().find(text.casefold()) if text else -1
    start = max(0, at - 60) if at > 120 else 0
    line = f"{'… ' if start else ''}{' '.join(content[start : start + LINE * 2].split())}"
    line = line if len(line) <= LINE else f"{line[:LINE].rstrip()} …"
    found = line.casefold().find(text.casefold()) if text else -1
    if found < 0:
        return escape(line)
    until = found + len(text)
    return join([line[:found], el("mark", line[found:until]), line[until:]])


def has_content(outcome: Outcome) -> bool:
    """Return whether the texts of a request are stored."""
    return bool(outcome.input or outcome.answer or outcome.variables or outcome.choices)


def _latency(outcome: Outcome) -> str:
    return "" if outcome.status == "running" else duration(outcome.timings.total_ms)


def _failure(outcome: Outcome) -> Markup | None:
    return chip("Check failed", "warn", title=outcome.checks.reason) if outcome.checks.ok is False else None


def reload_button(label: str) -> Markup:
    """Return a button that reads the list anew."""
    return button(label, kind="quiet", id="history-show", hx_get=LIST, hx_include=FORM, hx_target=TARGET)
