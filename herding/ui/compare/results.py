"""The response of a column as HTML, with its names or without them."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from herding.access.operations import RATE
from herding.errors import HerdingError
from herding.ui.compare.columns import PAST, column_label
from herding.ui.compare.inputs import FORM
from herding.ui.kit.fields import hidden_field, star_field
from herding.ui.kit.format import chip, el, empty_state, join, status_chip
from herding.ui.kit.responses import response
from herding.ui.kit.responses.chain_steps import recorded_steps
from herding.ui.kit.responses.message_parts import response_parts
from herding.ui.kit.responses.references import reference_cards
from herding.values import Outcome, Principal

NO_RESPONSE = empty_state("No response yet", "Press Run all or Ctrl+Enter.")
NOT_STORED = empty_state("No content stored", "The texts of this request were deleted or never stored.")


def result(letter: str, outcome: Outcome, who: Principal, *, hidden: bool = False, stars: int | None = None) -> Markup:
    """Return a finished response with its stars; `hidden` leaves out what tells the model or the settings."""
    shown = replace(outcome, ignored=()) if hidden else outcome
    texts = [response_parts(shown), response.response_text(outcome.answer) if outcome.answer else None]
    known = None
    if letter != PAST:
        known = hidden_field(f"{letter}.request", outcome.request_id, form=FORM)
    return join(
        [
            known,
            el("div", *texts, reference_cards(outcome.references), cls="response"),
            _stars(letter, outcome, stars) if RATE in who.rights else None,
            el("div", hidden_more(outcome) if hidden else more(outcome), id=more_id(letter), cls="compare-more"),
        ]
    )


def more_id(letter: str) -> str:
    """Return the id of the part of a response that is hidden with the names."""
    return f"compare-{letter}-more"


def more(outcome: Outcome) -> Markup:
    """Return the error of a response, the steps of a chain, and the details, folded."""
    error = response.error_panel(outcome.error_type, outcome.error) if outcome.error else None
    steps = recorded_steps(outcome.steps) if outcome.steps else None
    return el("div", error, steps, response.details(outcome, response.routing_note(outcome)), cls="response")


def hidden_more(outcome: Outcome) -> Markup | None:
    """Return what is shown in the place of `more` while the names are hidden."""
    if not outcome.error:
        return None
    return el("p", "This request failed. The error is shown with the names.", cls="muted")


def status(outcome: Outcome, *, hidden: bool = False) -> Markup:
    """Return the status of a response, with tokens, latency and cost in one line."""
    if hidden:
        note = chip("No text", "warn") if outcome.note else None
        return el("div", status_chip(outcome.status), note, cls="status-line")
    return join([response.final_status(outcome, time=False), response.metrics_line(outcome)])


def waiting() -> Markup:
    """Return the status of a running request that names neither model nor node."""
    pulse = el("span", cls="pulse", aria_hidden="true")
    return el("div", pulse, el("span", "Shown when all responses are complete"), cls="status-line")


def failure(error: HerdingError | None, text: str) -> Markup:
    """Return the text that had arrived before an error without a recorded request, and the error."""
    partial = response.response_text(text) if text else None
    return el("div", partial, response.error_panel(error.type, error.message) if error else None, cls="response")


def _stars(letter: str, outcome: Outcome, stars: int | None) -> Markup:
    field = star_field(
        stars,
        f"Rate {'the past response' if letter == PAST else f'response {column_label(letter)}'}",
        hx_post=f"ui/compare/rate/{outcome.request_id}",
        hx_target="next .feedback-news",
        hx_swap="innerHTML",
        hx_include=f"#{FORM}",
    )
    return el("div", field, el("div", cls="feedback-news", role="status"), cls="compare-stars")
