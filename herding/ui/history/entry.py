"""One request of the history in full: its input and response, its ratings, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from herding.access.operations import PROMPTS, RATE, RUN
from herding.ui.engineer.feedback import feedback
from herding.ui.history.rows import ENTRIES, NOT_STORED, POLL, has_content
from herding.ui.kit.fields import back_button, button, close_button, confirm_button
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
    request_name,
    status_chip,
)
from herding.ui.kit.links import tab_address
from herding.ui.kit.responses import response
from herding.ui.kit.responses.chain_steps import state_name
from herding.ui.kit.responses.message_parts import response_parts
from herding.ui.kit.responses.references import reference_cards
from herding.ui.kit.responses.request_input import request_input
from herding.values import Attempt, Entry, Outcome, Principal, StepEntry, StepRun

DELETE_QUESTION = (
    "This deletes the variables, input, response, error and comments of this request. "
    "Counts, timings and ratings are kept. This can't be undone."
)


def details(entry: Entry, who: Principal, listed: Mapping[str, str] | None = None) -> Markup:
    """Return the whole request; that of a running one follows it.

    Links to other requests keep `listed`, the fields of the list beside it.
    """
    row = entry.outcome
    follow = {"hx_get": f"{ENTRIES}/{row.request_id}?follow=1", "hx_trigger": POLL, "hx_swap": "outerHTML"}
    shown = [
        el("section", el("h3", title), content) for title, content in sections(entry, who, listed or {}) if content
    ]
    return el(
        "article",
        _head(row, listed or {}),
        _actions(entry, who),
        *shown,
        cls="history-entry",
        data_entry=row.request_id,
        aria_label=f"Request to {request_name(row)}",
        **(follow if row.status == "running" else {}),
    )


def sections(entry: Entry, who: Principal, listed: Mapping[str, str]) -> list[tuple[str, Markup | None]]:
    """Return the parts of a request in their order, each with its title."""
    row = entry.outcome
    rating = feedback(row.request_id, entry=entry, reader=who, path=ENTRIES) if RATE in who.rights else None
    return [
        ("Input", request_input(row) if has_content(row) else None),
        ("Response", _response(row)),
        ("Steps", step_list(entry.children, row.steps or (), listed) if entry.children or row.steps else None),
        ("Rating", rating),
        ("Request", _request(row)),
    ]


def step_list(steps: Sequence[StepEntry], states: Sequence[StepRun], listed: Mapping[str, str]) -> Markup:
    """Return the requests of the steps of a chain, each with a link to it, and the steps that made none."""
    rows = [
        el(
            "li",
            el("a", step.step, href=tab_address("history", **{**listed, "request": step.request_id})),
            el("span", f"{step.prompt}{f' v{step.version}' if step.version else ''}", cls="muted"),
            status_chip(step.status),
            chip("Check failed", "warn") if step.checks_passed is False else None,
            el("span", f"{step.model or ''} · {step.input_tokens:,} → {step.output_tokens:,} tokens · "
                       f"{duration(step.total_ms)}", cls="muted"),
            el("p", step.error, cls="history-error") if step.error else None,
        )
        for step in steps
    ]  # fmt: skip
    rows += [
        el("li", el("span", state.name), el("span", state.prompt, cls="muted"), chip(state_name(state.state), "calm"))
        for state in states
        if not state.request_ids and state.state in ("skipped", "waiting", "failed")
    ]
    return el("ol", *rows, cls="plain history-steps-list")


def not_found(message: str) -> Markup:
    """Return what is shown instead of a request that the reader cannot see."""
    return el("article", _bar(), panel("warn", message), cls="history-entry")


def _head(row: Outcome, listed: Mapping[str, str]) -> Markup:
    version = f"v{row.version}" if row.version else ""
    edited = chip("Unsaved changes", "accent") if row.edited else None
    title = el("h2", request_name(row), " ", el("span", version, cls="muted") if version else None)
    about = el("div", status_chip(row.status), checks_chip(row.checks), edited, datetime_tag(row.created_at),
               el("span", row.principal, cls="muted"), cls="chips history-about")  # fmt: skip
    chain = (
        el("a", "Open the chain", href=tab_address("history", **{**listed, "request": row.parent}))
        if row.parent
        else None
    )
    step = el("p", f"Step {row.step} of a chain. ", chain, cls="muted") if chain else None
    return el("header", _bar(), title, about, step, cls="history-head")


def _bar() -> Markup:
    """Return the buttons that close the request and go to the ones beside it in the list."""
    steps = [
        button("↑", kind="quiet", data_step="-1", title="Previous request", aria_label="Previous request"),
        button("↓", kind="quiet", data_step="1", title="Next request", aria_label="Next request"),
    ]
    return el("div", back_button(), *steps, close_button(), cls="history-steps")


def _actions(entry: Entry, who: Principal) -> Markup | None:
    """Return the links that go on with the request, and the button that deletes its content."""
    row = entry.outcome
    runs = bool(row.prompt) and has_content(row) and who.rights >= {RUN, PROMPTS}
    opened = tab_address("engineer", prompt=row.prompt, request=row.request_id, model=row.model or "")
    compared = tab_address("compare", prompt=row.prompt, request=row.request_id)
    own = row.principal == who.id and row.status != "running"
    parts = [
        el("a", "Open in engineer", href=opened, cls="btn primary", id="history-open")
        if runs and "engineer" in who.tabs
        else None,
        el("a", "Compare with a new run", href=compared, cls="btn", id="history-compare")
        if runs and "compare" in who.tabs
        else None,
        button("Copy link", data_copy_link=tab_address("history", request=row.request_id), id="history-link"),
        confirm_button(
            "Delete content",
            DELETE_QUESTION,
            "Delete",
            id="history-forget",
            hx_post=f"{ENTRIES}/{row.request_id}/forget",
            hx_target="#history-detail",
        )
        if own and (has_content(row) or entry.comment)
        else None,
    ]
    return el("div", *parts, cls="answers")


def _response(row: Outcome) -> Markup:
    if has_content(row):
        return response.response_view(row, status=False, steps=False)
    note = panel("calm", NOT_STORED, el("p", "It was deleted, or the user chose not to store content."))
    error = row.error or ("The error message was not stored." if row.error_type else None)
    return el(
        "div",
        note,
        response_parts(row),
        reference_cards(row.references),
        response.error_panel(row.error_type, error) if error else None,
        response.metrics_line(row),
        response.details(row),
        cls="response",
    )


def _request(row: Outcome) -> Markup:
    """Return what else is stored: parameters, attempts and who asked."""
    given = {name: _parameter(value) for name, value in row.parameters.given().items()}
    parameters = [(name, el("code", format_value(value))) for name, value in given.items()]
    facts = [("User", row.principal), ("Token", row.token), ("Chat", row.session_id)]
    asked = [(name, el("code", value)) for name, value in facts if value]
    return join([key_values(parameters) if parameters else None, key_values(asked), _attempts(row)])


def _attempts(row: Outcome) -> Markup | None:
    """Return the attempts, folded unless one failed."""
    if not row.attempts:
        return None
    failed = any(attempt.error_type for attempt in row.attempts)
    head = el("summary", f"Attempts ({len(row.attempts)})")
    listed = el("ol", *map(_attempt, row.attempts), cls="plain")
    return el("details", head, listed, cls="more", open="" if failed else None)


def _parameter(given: Any) -> Any:
    """Return a parameter as `format_value` takes it: objects, such as tools, as JSON."""
    nested = isinstance(given, Mapping) or (isinstance(given, list) and any(isinstance(item, dict) for item in given))
    return json.dumps(given, ensure_ascii=False) if nested else given


def _attempt(attempt: Attempt) -> Markup:
    result = chip(attempt.error_type, "bad") if attempt.error_type else chip("succeeded", "good")
    place = el("span", f"{attempt.number}. {attempt.model} on {attempt.node} ")
    error = el("p", attempt.error) if attempt.error else None
    return el("li", place, result, el("span", f" {duration(attempt.total_ms)}", cls="muted"), error)
