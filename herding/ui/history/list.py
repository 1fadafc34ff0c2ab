"""A page of the history as a table whose rows can be chosen with mouse and keyboard."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.ui.history.page import NOT_KEPT, kept
from herding.ui.kit.format import chip, datetime_tag, duration, el, empty_state, join, star_marks, status_chip, truncate
from herding.values import Entry, Outcome

NOTHING = empty_state("No requests yet", "Run a prompt in the first tab; every run is kept here.")
NO_FIT = empty_state("No request fits", "Change the filters to see more.")


def rows(entries: Sequence[Entry], chosen: str, *, filtered: bool) -> Markup:
    """The table, or what stands in its place."""
    if not entries:
        return NO_FIT if filtered else NOTHING
    heads = ("Time and prompt", "Answer", "Model", "Figures", "Result")
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in heads)))
    body = el("tbody", *(_row(entry, current=entry.outcome.request_id == chosen) for entry in entries))
    return el("table", head, body, cls="entries", data_detail="history-detail")


def _row(entry: Entry, *, current: bool) -> Markup:
    row = entry.outcome
    version = el("span", f" v{row.version}" if row.version else "", "*" if row.edited else "", cls="muted")
    spoken = el("span", f", request to {row.prompt}: show details", cls="sr")
    pick = el("button", datetime_tag(row.created_at), spoken, type="button", cls="row-pick", data_pick=row.request_id)
    tokens = f"{row.usage.input_tokens:,} → {row.usage.output_tokens:,} tokens"
    failure = chip("Check failed", "warn", title=row.checks.reason) if row.checks.ok is False else None
    cells = [
        [pick, el("div", row.prompt, version)],
        [_snippet(row)],
        [el("div", row.model or "–", cls="model"), el("div", row.node or "", cls="muted")],
        [el("div", tokens), el("div", duration(row.timings.total_ms), cls="muted")],
        [join([status_chip(row.status), failure]), el("div", star_marks(entry.stars))],
    ]
    mark = "true" if current else None
    return el("tr", *(el("td", *cell) for cell in cells), data_row="", aria_current=mark)


def _snippet(row: Outcome) -> Markup:
    if not kept(row):
        return el("div", NOT_KEPT, cls="snippet muted")
    return el("div", truncate(row.answer, 140) or truncate(row.error or "", 140), cls="snippet")
