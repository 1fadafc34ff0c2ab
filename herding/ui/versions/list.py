"""The list of a prompt's versions, page by page."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.ui.kit.format import chip, datetime_tag, el, truncate
from herding.ui.kit.picklist import pick_list
from herding.ui.versions.detail import HASH_LENGTH, SOURCES, author_name, label_chip
from herding.ui.versions.state import PAGE, PromptSnapshot, VersionsState
from herding.values import PromptVersion


class ListPane:
    """The table and the buttons below it."""

    def __init__(self) -> None:
        self.list = pick_list("version-list")
        with gr.Row(elem_classes=["pager"], elem_id="version-pager") as self.pager:
            self.newer = gr.Button("‹ Newer", size="sm", scale=0, min_width=100, elem_id="version-newer")
            self.place = gr.HTML(elem_id="version-place")
            self.older = gr.Button("Older ›", size="sm", scale=0, min_width=100, elem_id="version-older")

    @property
    def outputs(self) -> list[Any]:
        return [self.list, self.place, self.newer, self.older, self.pager]

    def show(self, snapshot: PromptSnapshot, state: VersionsState) -> list[Any]:
        """Return updates of `outputs`."""
        last = min(snapshot.newest, state.offset + PAGE)
        place = el("span", f"{state.offset + 1:,}–{last:,} of {snapshot.newest:,}", cls="muted", role="status")
        return [
            _table(snapshot, state),
            place,
            gr.update(interactive=state.offset > 0),
            gr.update(interactive=state.offset + PAGE < snapshot.newest),
            gr.update(visible=snapshot.newest > PAGE),
        ]


def _table(snapshot: PromptSnapshot, state: VersionsState) -> Markup:
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in ("Version", "Note", "Author", "Source"))))
    rows = [_row(version, snapshot, current=version.number == state.selected) for version in snapshot.page]
    return el("table", head, el("tbody", *rows), cls="entries versions", data_detail="version-detail")


def _row(version: PromptVersion, snapshot: PromptSnapshot, *, current: bool) -> Markup:
    spoken = el("span", ": show details", cls="sr")
    number = str(version.number)
    pick = el("button", f"Version {number}", spoken, type="button", cls="row-pick", data_pick=number)
    labels = [label_chip(label) for label in snapshot.labels_of(version.number)]
    note = truncate(version.message, 160)
    cells: list[list[object]] = [
        [pick, el("div", *labels, cls="chips") if labels else None],
        [el("div", note, cls="snippet") if note else el("span", "–", cls="muted")],
        [el("div", author_name(version.author)), el("div", datetime_tag(version.created_at), cls="muted")],
        [chip(SOURCES[version.source]), el("div", el("code", version.sha256[:HASH_LENGTH]))],
    ]
    mark = "true" if current else None
    return el("tr", *(el("td", *cell) for cell in cells), data_row="", aria_current=mark)
