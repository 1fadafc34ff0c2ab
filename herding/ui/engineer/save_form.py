"""Saving a draft as a version: the row with the message, what came of it, and the conflict with whoever was faster."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.prompts.diff import PromptDiff
from herding.studio.importer import Saved
from herding.ui.engineer.session_state import SessionState, is_new
from herding.ui.kit.diff_view import render_diff
from herding.ui.kit.format import el, panel, success, time_tag
from herding.values import PromptVersion

FILES = {
    "unwritable": "Its file cannot be written here; it is kept in the database.",
    "shared": "Its file holds several prompts and is changed by hand; it is kept in the database.",
    "conflict": "Its file was edited at the same time; both are kept, and somebody must choose one.",
}


class SaveForm:
    """Layout of the row and of the conflict below it."""

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_classes=["save-box"]) as self.box:
            with gr.Row(elem_classes=["save-row"]):
                self.message = gr.Textbox(
                    label="What changes, and why",
                    placeholder="optional",
                    max_length=500,
                    scale=3,
                    min_width=180,
                    elem_id="save-message",
                )
                self.save = gr.Button("Save version", size="sm", scale=0, min_width=130, elem_id="save-version")
            self.inputs = gr.Checkbox(
                label="Keep these inputs as defaults", value=False, container=False, elem_id="save-inputs"
            )
        self.note = gr.HTML(elem_id="save-note", elem_classes=["note"])
        with gr.Column(visible=False, elem_classes=["conflict"], elem_id="save-conflict") as self.conflict:
            self.clash = gr.HTML()
            with gr.Row(elem_classes=["answers"]):
                self.mine = gr.Button("Save mine on top", size="sm", elem_id="save-mine")
                self.theirs = gr.Button("Take theirs", size="sm", elem_id="save-theirs")

    @property
    def frame(self) -> list[Any]:
        """What follows the draft."""
        return [self.box, self.save, self.inputs]

    @property
    def results(self) -> list[Any]:
        """What tells how a save went."""
        return [self.message, self.note, self.conflict, self.clash]

    def show(self, desk: SessionState, *, can_save: bool) -> list[Any]:
        """Updates of `frame`."""
        new = desk.prompt is not None and is_new(desk.prompt)
        inputs = not new and bool(desk.edits().variables)
        name = "Save as version 1" if new else "Save version"
        return [gr.update(visible=can_save), gr.update(value=name), gr.update(visible=inputs)]


def at_rest() -> list[Any]:
    """Updates of `SaveForm.results` where nothing was saved."""
    return [gr.skip(), "", gr.update(visible=False), ""]


def saved(result: Saved) -> list[Any]:
    """Updates of `SaveForm.results` after a save."""
    said = f"Saved as version {result.version}" if result.changed else f"Version {result.version} holds just that"
    parts = [success(said)]
    if result.file != "written":
        link = el(
            "a", "Download the YAML", href=f"api/v1/prompts/{result.key}/yaml?version={result.version}", cls="button"
        )
        parts.append(el("p", FILES[result.file], " ", link if result.file == "unwritable" else None, cls="muted"))
    return ["", el("div", *parts, cls="saved-note"), gr.update(visible=False), ""]


def refused(message: str) -> list[Any]:
    """Updates of `SaveForm.results` where something is wrong."""
    note = panel("bad", "Not saved", el("p", message), role="alert")
    return [gr.skip(), note, gr.update(visible=False), ""]


def clashes(newest: PromptVersion, base: int, diff: PromptDiff | None) -> list[Any]:
    """Updates of `SaveForm.results` where somebody saved first."""
    return [gr.skip(), "", gr.update(visible=True), _clash(newest, base, diff)]


def _clash(newest: PromptVersion, base: int, diff: PromptDiff | None) -> Markup:
    since = f"you began from version {base}" if base else "you began a new prompt"
    said = el(
        "p",
        el("strong", newest.author or "Somebody"),
        f" saved version {newest.number} at ",
        time_tag(newest.created_at),
        f"; {since}. Nothing is written over, and your draft is kept.",
    )
    why = el("p", "They say: ", el("q", newest.message)) if newest.message else None
    legend = el("p", "This is what yours, saved on top, would change of it.", cls="muted")
    shown = render_diff(diff, inline=True) if diff else el("p", "Your draft makes no prompt on top of it yet.")
    body = el("details", el("summary", "Show their version"), legend, shown)
    return panel("warn", "Somebody else saved this prompt", said, why, body, role="alert")
