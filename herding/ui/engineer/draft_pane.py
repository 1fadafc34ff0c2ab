"""The part below the editor: the state of the draft, undo, and the form that saves a version."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import EDIT, RUN, SAVE
from herding.prompts.diff import PromptDiff
from herding.studio.importer import SaveResult
from herding.ui.engineer.session_state import SessionState, is_unsaved
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.diff_view import render_diff
from herding.ui.kit.format import chip, el, join, panel, success, time_tag
from herding.values import Principal, PromptVersion

DISCARD = "Discard this draft and its undo history? This can't be undone."
FILE_NOTES = {
    "unwritable": "Saved in the database only: its file is read-only.",
    "shared": "Saved in the database only: its file holds several prompts.",
    "conflict": "Its file was edited at the same time. Choose a version in the Versions tab.",
}

NOT_STORED = (
    "Drafts are not stored because storage of your content is off. Unsaved changes are lost when the page closes."
)


class DraftPane:
    """Layout of the pane; `show` returns its updates for a session."""

    def __init__(self) -> None:
        with gr.Column(elem_id="draft-section", elem_classes=["draft"]):
            self.others = gr.HTML(elem_id="draft-others", visible=False)
            with gr.Row(elem_classes=["draft-row"]):
                self.status = gr.HTML(elem_id="draft-state")
                self.undo = _small_button("Undo", "draft-undo")
                self.redo = _small_button("Redo", "draft-redo")
                self.discard = ConfirmButton(
                    "Discard draft", DISCARD, "Discard draft", right=RUN, name="discard", elem_id="draft-discard"
                )
            self.save_form = SaveForm()

    @property
    def outputs(self) -> list[Any]:
        own = [self.others, self.status, self.undo, self.redo, *self.discard.outputs]
        return [*own, *self.save_form.frame]

    def show(self, session: SessionState, others: tuple[str, ...], principal: Principal) -> list[Any]:
        """Return the updates of `outputs`; `others` are the other editors' names."""
        draft, prompt = session.draft, session.prompt
        new = prompt is not None and is_unsaved(prompt)
        has_edits = prompt is not None and (new or not draft.saved_edits.empty or not session.edits().empty)
        can_save = SAVE in principal.rights and prompt is not None and (new or draft.changes_prompt)
        return [
            gr.update(value=editors_note(others), visible=bool(others)),
            save_status(session, principal),
            gr.update(visible=has_edits or bool(draft.redo_stack), interactive=has_edits),
            gr.update(visible=bool(draft.redo_stack)),
            *self.discard.show(has_edits),
            *self.save_form.show(session, can_save=can_save),
        ]


class SaveForm:
    """The change note and the button that saves a version; below them the result, or a conflict."""

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_classes=["save-box"]) as self.box:
            with gr.Row(elem_classes=["save-row"]):
                self.message = gr.Textbox(
                    label="Change note (optional)", max_length=500, scale=3, min_width=180, elem_id="save-message"
                )
                self.save = gr.Button("Save version", size="sm", scale=0, min_width=130, elem_id="save-version")
            self.inputs = gr.Checkbox(
                label="Save these values as defaults", value=False, container=False, elem_id="save-inputs"
            )
        self.note = gr.HTML(elem_id="save-note", elem_classes=["note"])
        with gr.Column(visible=False, elem_classes=["conflict"], elem_id="save-conflict") as self.conflict:
            self.conflict_note = gr.HTML()
            with gr.Row(elem_classes=["answers"]):
                self.mine = gr.Button("Save my version", size="sm", elem_id="save-mine")
                self.theirs = gr.Button("Use their version", size="sm", elem_id="save-theirs")

    @property
    def frame(self) -> list[Any]:
        """The components that follow the draft."""
        return [self.box, self.save, self.inputs]

    @property
    def results(self) -> list[Any]:
        """The components that follow a save."""
        return [self.message, self.note, self.conflict, self.conflict_note]

    def show(self, session: SessionState, *, can_save: bool) -> list[Any]:
        """Return the updates of `frame`."""
        new = session.prompt is not None and is_unsaved(session.prompt)
        has_values = not new and bool(session.edits().variables)
        label = "Save as version 1" if new else "Save version"
        return [gr.update(visible=can_save), gr.update(value=label), gr.update(visible=has_values)]


def save_status(session: SessionState, principal: Principal) -> Markup:
    """Return the time when the draft was saved, or the reason why it was not."""
    draft, prompt = session.draft, session.prompt
    if draft.save_error:
        return el("p", chip("Draft not saved", "bad"), " ", draft.save_error.message, cls="wrong", role="alert")
    if principal.opt_out and EDIT in principal.rights:
        return el("p", NOT_STORED, cls="muted")
    if prompt is None or draft.saved_at is None or draft.saved_edits.empty:
        text = "Changes are saved as a draft automatically."
        return el("p", text, cls="muted") if EDIT in principal.rights else Markup()
    based_on_old = 0 < draft.base_version < prompt.newest and draft.saved_edits.changes_prompt
    base = f" · based on v{draft.base_version}, latest is v{prompt.newest}" if based_on_old else None
    return el("p", chip("✓", "good"), " Draft saved ", time_tag(draft.saved_at), base, cls="muted")


def editors_note(others: tuple[str, ...]) -> Markup:
    """Return the names of the other users who edit the prompt now."""
    if not others:
        return Markup()
    names = [el("strong", name) for name in others]
    listed = join([join([name, ", "]) for name in names[:-2]] + [join([name, " and "]) for name in names[-2:-1]])
    verb = "is" if len(names) == 1 else "are"
    return el("p", chip("Also editing", "busy"), " ", listed, names[-1], f" {verb} editing this prompt.", role="status")


def no_result() -> list[Any]:
    """Return the updates of `SaveForm.results` without a save."""
    return [gr.skip(), "", gr.update(visible=False), ""]


def saved_result(saved: SaveResult) -> list[Any]:
    """Return the updates of `SaveForm.results` after a save."""
    parts = [success(f"Saved v{saved.version}" if saved.changed else f"No changes: v{saved.version} is identical")]
    if saved.file != "written":
        href = f"api/v1/prompts/{saved.key}/yaml?version={saved.version}"
        link = el("a", "Download YAML", href=href, cls="button") if saved.file == "unwritable" else None
        parts.append(el("p", FILE_NOTES[saved.file], " ", link, cls="muted"))
    return ["", el("div", *parts, cls="saved-note"), gr.update(visible=False), ""]


def error_result(message: str) -> list[Any]:
    """Return the updates of `SaveForm.results` after a failed save."""
    note = panel("bad", "Not saved", el("p", message), role="alert")
    return [gr.skip(), note, gr.update(visible=False), ""]


def conflict_result(newest: PromptVersion, base: int, diff: PromptDiff | None) -> list[Any]:
    """Return the updates of `SaveForm.results` if another user saved `newest` after version `base`.

    diff: what the own draft would change of `newest`, None if it does not parse on top of it.
    """
    began = f"Your draft is based on v{base}." if base else "Your draft is a new prompt."
    author = el("strong", newest.author or "Another user")
    text = el("p", author, f" saved v{newest.number} at ", time_tag(newest.created_at), f". {began} Nothing is lost.")
    note = el("p", "Change note: ", el("q", newest.message)) if newest.message else None
    legend = el("p", f"Your changes, compared with v{newest.number}:", cls="muted")
    changes = render_diff(diff, inline=True) if diff else el("p", "Your draft is not valid on top of this version.")
    details = el("details", el("summary", "Show differences"), legend, changes)
    body = panel("warn", "This prompt was changed by another user", text, note, details, role="alert")
    return [gr.skip(), "", gr.update(visible=True), body]


def _small_button(label: str, elem_id: str) -> gr.Button:
    return gr.Button(label, size="sm", scale=0, min_width=70, visible=False, elem_id=elem_id)
