"""The response under review, as HTML: what was asked, what came back, and the fields of the rating."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from herding.ui.kit.fields import button, hidden_field, star_field, text_field
from herding.ui.kit.format import (
    checks_chip,
    chip,
    datetime_tag,
    el,
    empty_state,
    join,
    request_name,
    star_marks,
)
from herding.ui.kit.responses import response
from herding.ui.kit.responses.message_parts import response_parts
from herding.ui.kit.responses.request_input import request_input
from herding.values import Entry, Outcome, ReviewQueue

SHORTCUTS = (("1–5", "rate"), ("N or Enter", "next"), ("S", "skip"), ("C", "comment"), ("U", "undo"))
STATE = "#review-filters, #review-state"
TARGET = "#review-item"
MAX_SKIPPED = 1_000


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a review, which the page carries: how many are rated, the skipped ones, and the last one."""

    rated: int = 0
    skipped: tuple[str, ...] = ()
    last: str = ""

    def fields(self, request_id: str) -> Markup:
        """Return the hidden fields that carry it to the next request."""
        values = {"current": request_id, "rated": str(self.rated), "skipped": " ".join(self.skipped), "last": self.last}
        return join(hidden_field(name, value) for name, value in values.items())


def item(queue: ReviewQueue, progress: Progress, *, names: bool, last: Entry | None = None) -> Markup:
    """Return the response to rate, with the progress; `names` shows its model before it is rated."""
    if queue.entry is None:
        body = [_nothing(progress), progress.fields("")]
        return join([_bar(progress, queue, last), el("div", *body, id="review-state")])
    entry = queue.entry
    row = entry.outcome
    head = el("div", el("h2", request_name(row)), datetime_tag(row.created_at), cls="page-head")
    sides = el(
        "div",
        el("section", el("h3", "Input"), request_input(row), cls="review-side", aria_label="Input"),
        el("section", el("h3", "Response"), _response(row), cls="review-side", aria_label="Response"),
        cls="review-sides",
    )
    return join([_bar(progress, queue, last), head, sides, _rating(entry, progress), verdict(entry, names=names)])


def verdict(entry: Entry, *, names: bool) -> Markup:
    """Return what is shown of the model: all of it once the response is rated, or with `names`."""
    row = entry.outcome
    if entry.stars is None and not names:
        shown = el("p", "The model is shown after the rating.", cls="muted")
    else:
        saved = chip(f"Saved: {entry.stars} of 5", "good") if entry.stars else None
        where = f"{row.model or 'No model'} on {row.node or 'no node'}"
        shown = join([el("p", saved, " ", el("code", where)), response.metrics_line(row), response.routing_note(row)])
    return el("div", shown, id="review-verdict", cls="review-verdict", role="status")


def _response(row: Outcome) -> Markup:
    return join([response_parts(row), response.response_text(row.answer), el("p", checks_chip(row.checks))])


def _rating(entry: Entry, progress: Progress) -> Markup:
    request_id = entry.outcome.request_id
    stars = star_field(
        entry.stars,
        "Rating",
        hx_post=f"ui/review/{request_id}/rate",
        hx_target="#review-verdict",
        hx_swap="outerHTML",
        hx_include=STATE,
    )
    comment = text_field(
        "Comment", "comment", entry.comment or "", lines=2, id="review-comment", info="Ctrl+Enter saves and goes on."
    )
    goes_on: dict[str, Any] = {"hx_include": STATE, "hx_target": TARGET, "hx_sync": f"{TARGET}:drop"}
    following = button("Next", kind="primary", id="review-next", hx_post="ui/review/next", **goes_on)
    skip = button("Skip", id="review-skip", hx_post="ui/review/skip", **goes_on)
    state = el("div", comment, progress.fields(request_id), id="review-state")
    return el("div", stars, state, el("div", following, skip, cls="answers"), cls="review-rating")


def _bar(progress: Progress, queue: ReviewQueue, last: Entry | None) -> Markup:
    """Return the progress, the rating before, and the shortcuts."""
    left = f"{queue.left:,}{' or more' if queue.more else ''} left"
    count = el("p", f"{progress.rated:,} rated · {left}", id="review-progress", role="status")
    keys = (el("span", el("kbd", key), f" {action}") for key, action in SHORTCUTS)
    return el("div", count, _last(last), el("p", *keys, cls="review-keys muted"), cls="review-bar")


def _last(last: Entry | None) -> Markup | None:
    """Return the rating before this one, with the button that takes it back."""
    if last is None or last.stars is None:
        return None
    row = last.outcome
    undo = button(
        "Undo",
        kind="quiet",
        id="review-undo",
        hx_post="ui/review/undo",
        hx_include=STATE,
        hx_target=TARGET,
        hx_sync=f"{TARGET}:drop",
        aria_label="Undo the last rating",
    )
    return el("p", "Last: ", star_marks(last.stars), " for ", el("code", row.model or "no model"), undo, cls="last")


def _nothing(progress: Progress) -> Markup:
    if progress.skipped:
        again = button("Show skipped", hx_get="ui/review/item", hx_include="#review-filters", hx_target=TARGET)
        return empty_state("No unrated responses left", "You skipped some.", again)
    return empty_state("No unrated responses", "Change the filters, or come back when there are new responses.")
