"""All that is known of one request, as HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.kit import response
from herding.ui.kit.format import (
    checks_chip,
    chip,
    datetime_tag,
    duration,
    el,
    format_value,
    join,
    key_values,
    panel,
    status_chip,
)
from herding.values import Attempt, Entry, Outcome

NOT_KEPT = "Content not kept"


def head(entry: Entry) -> Markup:
    """What was asked when, and how it ended."""
    row = entry.outcome
    back = el("a", "‹ Back to the list", href="#history-list", cls="back")
    title = el("div", el("h2", row.prompt), datetime_tag(row.created_at), cls="page-head")
    return join([back, title, el("div", status_chip(row.status), checks_chip(row.checks), cls="chips")])


def kept(row: Outcome) -> bool:
    """Whether any text of a request is there."""
    return bool(row.input or row.answer or row.variables)


def body(entry: Entry) -> Markup:
    """Error, answer, figures, variables, input and attempts; where no texts were kept, the rest."""
    row = entry.outcome
    error = row.error or ("What the error said was not kept." if row.error_type else None)
    broken = response.error_panel(row.error_type, error) if error else None
    sections = [
        ("Answer", _answer(row)),
        ("Figures", response.metrics(row)),
        ("Variables", _values(row.variables) if row.variables else None),
        ("Parameters", _values(row.parameters.given())),
        ("Exact input", _input(row) if row.input else None),
        ("Attempts", _attempts(row.attempts)),
        ("Request", key_values([("Id", el("code", row.request_id)), ("By", row.principal), ("Chat", row.session_id)])),
    ]
    return join([broken, *(el("section", el("h3", title), content) for title, content in sections if content)])


def _answer(row: Outcome) -> Markup:
    if not kept(row):
        return panel("calm", NOT_KEPT, el("p", "Its texts were deleted, or whoever asked chose that none are kept."))
    return _text(row.answer) if row.answer else el("p", "No text arrived.", cls="muted")


def _text(written: str) -> Markup:
    return el("pre", written, cls="code", tabindex="0")


def _values(values: Mapping[str, Any]) -> Markup:
    return key_values(
        [(name, el("span", format_value(given) or "(empty)", cls="given")) for name, given in values.items()],
        cls="facts wide",
    )


def _input(row: Outcome) -> Markup:
    """The messages with their roles, or the raw text."""
    try:
        messages = json.loads(row.input)
        turns = [(str(message["role"]), str(message["content"])) for message in messages]
    except (ValueError, TypeError, KeyError):
        return _text(row.input)
    return join(el("div", chip(role), _text(content), cls="turn") for role, content in turns) or _text(row.input)


def _attempts(attempts: tuple[Attempt, ...]) -> Markup:
    return el("ol", *(_attempt(attempt) for attempt in attempts), cls="plain") if attempts else Markup()


def _attempt(attempt: Attempt) -> Markup:
    result = chip(attempt.error_type, "bad") if attempt.error_type else chip("answered", "good")
    place = el("span", f"{attempt.number}. {attempt.model} on {attempt.node} ")
    return el(
        "li", place, result, el("span", f" {duration(attempt.total_ms)}", cls="muted"), el("p", attempt.error or "")
    )
