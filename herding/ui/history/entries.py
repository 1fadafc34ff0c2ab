"""Requests of the history: a page of them as a table, and one in full."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from herding.ui.kit import response
from herding.ui.kit.format import (
    checks_chip,
    chip,
    cost_text,
    datetime_tag,
    duration,
    el,
    empty_state,
    format_value,
    join,
    key_values,
    panel,
    rating_list,
    rating_summary,
    request_name,
    status_chip,
    truncate,
)
from herding.ui.kit.message_parts import message_body, response_parts
from herding.values import Attempt, Entry, Outcome

NOT_STORED = "Content not stored"
NO_REQUESTS = empty_state("No requests yet", "Run a prompt in the Prompt engineer tab. Every request is recorded here.")
NO_MATCHES = empty_state("No matching requests", "Change the filters to see more.")


def table(entries: Sequence[Entry], selected: str, *, filtered: bool, users: bool = False) -> Markup:
    """Return the requests of a page as a table; `selected` is the id of the open one, `users` shows who asked."""
    if not entries:
        return NO_MATCHES if filtered else NO_REQUESTS
    heads = ("Time and prompt", "Response", "Model", "Metrics", "Result")
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in heads)))
    rows = (_row(entry, current=entry.outcome.request_id == selected, users=users) for entry in entries)
    body = el("tbody", *rows)
    return el("table", head, body, cls="entries", data_detail="history-detail")


def head(entry: Entry) -> Markup:
    """Return the prompt, time and status of a request."""
    row = entry.outcome
    back = el("a", "‹ Back to list", href="#history-list", cls="back")
    title = el("div", el("h2", request_name(row)), datetime_tag(row.created_at), cls="page-head")
    return join([back, title, el("div", status_chip(row.status), checks_chip(row.checks), cls="chips")])


def details(entry: Entry, reader: str) -> Markup:
    """Return everything that is stored of a request; `reader` is the user who sees it."""
    row = entry.outcome
    error = row.error or ("The error message was not stored." if row.error_type else None)
    request = [
        ("ID", el("code", row.request_id)),
        ("User", row.principal),
        ("Token", row.token),
        ("Chat", row.session_id),
    ]
    sections = [
        ("Response", _response(row)),
        ("Ratings and comments", rating_list(entry, reader)),
        ("Metrics", response.metrics(row)),
        ("Variables", _values(row.variables) if row.variables else None),
        ("Parameters", _values({name: _parameter(given) for name, given in row.parameters.given().items()})),
        ("Exact input", _input(row) if row.input else None),
        ("Attempts", el("ol", *map(_attempt, row.attempts), cls="plain") if row.attempts else None),
        ("Request", key_values(request)),
    ]
    problem = response.error_panel(row.error_type, error) if error else None
    return join([problem, *(el("section", el("h3", title), content) for title, content in sections if content)])


def has_content(row: Outcome) -> bool:
    """Return whether the texts of a request are stored."""
    return bool(row.input or row.answer or row.variables or row.choices)


def _row(entry: Entry, *, current: bool, users: bool) -> Markup:
    row = entry.outcome
    version = el("span", f" v{row.version}" if row.version else "", "*" if row.edited else "", cls="muted")
    who = el("div", row.principal, cls="muted") if users else None
    spoken = el("span", f", request to {request_name(row)}: show details", cls="sr")
    pick = el("button", datetime_tag(row.created_at), spoken, type="button", cls="row-pick", data_pick=row.request_id)
    tokens = f"{row.usage.input_tokens:,} → {row.usage.output_tokens:,} tokens"
    failure = chip("Check failed", "warn", title=row.checks.reason) if row.checks.ok is False else None
    cells: list[list[object]] = [
        [pick, el("div", request_name(row), version), who],
        [_snippet(row)],
        [el("div", row.model or "–", cls="model"), el("div", row.node or "", cls="muted")],
        [el("div", tokens), el("div", duration(row.timings.total_ms), cls="muted"), _cost(row)],
        [join([status_chip(row.status), failure]), rating_summary(entry)],
    ]
    mark = "true" if current else None
    return el("tr", *(el("td", *cell) for cell in cells), data_row="", aria_current=mark)


def _cost(row: Outcome) -> Markup | None:
    """Return the cost of a request; None if it is free or unknown."""
    return el("div", cost_text(row.cost), cls="muted") if row.cost else None


def _snippet(row: Outcome) -> Markup:
    if not has_content(row):
        return el("div", NOT_STORED, cls="snippet muted")
    return el("div", truncate(row.answer or row.error or row.note or "", 140), cls="snippet")


def _response(row: Outcome) -> Markup:
    if not has_content(row):
        return panel("calm", NOT_STORED, el("p", "It was deleted, or the user chose not to store content."))
    parts = response_parts(row)
    text = _text(row.answer) if row.answer else None
    return join((parts, text)) or el("p", "No text received.", cls="muted")


def _text(text: str) -> Markup:
    return el("pre", text, cls="code", tabindex="0")


def _values(values: Mapping[str, Any]) -> Markup:
    return key_values(
        [(name, el("span", format_value(given) or "(empty)", cls="given")) for name, given in values.items()],
        cls="facts wide",
    )


def _parameter(given: Any) -> Any:
    """Return a parameter as `format_value` takes it: objects, such as tools, as JSON."""
    nested = isinstance(given, Mapping) or (isinstance(given, list) and any(isinstance(item, dict) for item in given))
    return json.dumps(given, ensure_ascii=False) if nested else given


def _input(row: Outcome) -> Markup:
    """Return the messages with their roles, or the raw text."""
    try:
        turns = [(str(message["role"]), message_body(message)) for message in json.loads(row.input)]
    except (ValueError, TypeError, KeyError):
        return _text(row.input)
    return join(el("div", chip(role), body, cls="turn") for role, body in turns) or _text(row.input)


def _attempt(attempt: Attempt) -> Markup:
    result = chip(attempt.error_type, "bad") if attempt.error_type else chip("succeeded", "good")
    place = el("span", f"{attempt.number}. {attempt.model} on {attempt.node} ")
    return el(
        "li", place, result, el("span", f" {duration(attempt.total_ms)}", cls="muted"), el("p", attempt.error or "")
    )
