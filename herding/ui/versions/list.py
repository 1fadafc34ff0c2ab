"""The list of a prompt's versions."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from herding.ui.kit.fields import button, row_name
from herding.ui.kit.format import chip, el, join, time_tag, truncate
from herding.ui.kit.prompt_text import label_name
from herding.ui.kit.tables import head_row
from herding.ui.versions.detail import SOURCES, author_name
from herding.ui.versions.snapshot import PAGE, Choice, PromptSnapshot
from herding.values import PromptVersion

FORM = "#versions-form"
BODY = "#versions-body"
ACTION: dict[str, Any] = {
    "hx_include": FORM,
    "hx_target": BODY,
    "hx_swap": "innerHTML settle:0ms show:none",
    "hx_sync": f"{BODY}:replace",
}
"""The attributes of what draws the prompt anew."""


def version_list(snapshot: PromptSnapshot, choice: Choice) -> Markup:
    """Return the table of versions, and the button for older ones."""
    rows = (_row(version, snapshot) for version in snapshot.page)
    table = el(
        "table",
        head_row("Version", "Note", "Author", "Source"),
        el("tbody", *rows),
        cls="rows versions-rows",
        aria_label="Versions",
    )
    left = snapshot.page[-1].number - 1
    if left <= 0:
        return table
    more = button(f"Show {min(PAGE, left)} more", id="versions-more", **_body({"limit": choice.limit + PAGE}))
    count = el("p", f"{len(snapshot.page):,} of {snapshot.newest:,}", cls="muted", role="status")
    return join([table, el("div", more, count, cls="versions-more")])


def _body(values: dict[str, object]) -> dict[str, Any]:
    written = json.dumps({name: str(value) for name, value in values.items()})
    return {"hx_get": "ui/versions/body", "hx_vals": written, **ACTION}


def _row(version: PromptVersion, snapshot: PromptSnapshot) -> Markup:
    number = version.number
    pick = row_name(
        f"v{number}",
        el("span", ": show details", cls="sr"),
        id=f"version-{number}",
        data_row=str(number),
        **_body({"new": number, "old": max(1, number - 1)}),
    )
    labels = [label_name(label) for label in snapshot.labels_of(number)]
    note = truncate(version.message, 160)
    return el(
        "tr",
        el("td", el("div", pick, *labels, cls="row-head")),
        el("td", el("div", note, cls="versions-note") if note else el("span", "–", cls="muted")),
        el("td", el("div", author_name(version.author)), el("div", time_tag(version.created_at), cls="muted one-line")),
        el("td", chip(SOURCES[version.source])),
        aria_current="true" if number == snapshot.number else None,
    )
